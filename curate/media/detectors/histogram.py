"""PySceneDetect's HistogramDetector: cuts where the histogram of luma changes. Confidence is always 1."""

from __future__ import annotations

from scenedetect import HistogramDetector

from curate.media.detectors._checks import number, whole
from curate.media.detectors._pyscenedetect import Wrapped


class Histogram(Wrapped):
    """Cuts where the correlation of two frames' luma histograms of `bins` falls to 1 - `threshold`."""

    name = "histogram"
    version = 1

    def __init__(self, threshold: float = 0.2, bins: int = 128, min_scene_s: float = 0.6) -> None:
        super().__init__(
            HistogramDetector(
                threshold=number("threshold", threshold, most=1.0, above=True),  # at 0 every frame is a cut
                bins=whole("bins", bins, 2, 256),
                min_scene_len=number("min_scene_s", min_scene_s),
            )
        )
