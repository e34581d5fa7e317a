"""PySceneDetect's ContentDetector: cuts where a frame differs much from the one before. Confidence is always 1."""

from __future__ import annotations

from scenedetect import ContentDetector

from curate.media.detectors._checks import number
from curate.media.detectors._pyscenedetect import Wrapped


class Content(Wrapped):
    """Cuts where the mean change of hue, saturation and value (levels, 0..255) reaches `threshold`."""

    name = "content"
    version = 1

    def __init__(self, threshold: float = 27.0, min_scene_s: float = 0.6) -> None:
        super().__init__(
            ContentDetector(
                threshold=number("threshold", threshold, most=255.0, above=True),  # at 0 every frame is a cut
                min_scene_len=number("min_scene_s", min_scene_s),
            )
        )
