"""PySceneDetect's AdaptiveDetector: a rolling average absorbs fast camera moves. Confidence is always 1."""

from __future__ import annotations

from scenedetect import AdaptiveDetector

from curate.media.detectors._checks import number, whole
from curate.media.detectors._pyscenedetect import Wrapped

_MOST_WINDOW = 1000  # frames; what the detector holds grows with it


class Adaptive(Wrapped):
    """Cuts where a frame's HSV change exceeds `threshold` times the mean of the `window` frames on either side."""

    name = "adaptive"
    version = 2

    def __init__(
        self, threshold: float = 3.5, window: int = 3, min_content: float = 15.0, min_scene_s: float = 0.6
    ) -> None:
        super().__init__(
            AdaptiveDetector(
                adaptive_threshold=number("threshold", threshold, above=True),  # at 0 every frame is a cut
                window_width=whole("window", window, 1, _MOST_WINDOW),
                min_content_val=number("min_content", min_content),
                min_scene_len=number("min_scene_s", min_scene_s),
            )
        )
