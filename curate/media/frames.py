"""A request for sampled frames. Apart from `curate.stage`, so that the decoding process need not import all of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Frames:
    """A request for the frames that are shown at k/fps, counted from the source's first frame.

    fps: frames per second; a source slower than that gives each of its frames once; 0: every frame (for detectors:
        its pixels are thinned before they are averaged, which is what makes every frame affordable).
    short_side: pixels of the shorter side after scaling (never enlarged); the aspect ratio is kept.
    colour: ``gray`` (T, H, W, 1) or ``rgb`` (T, H, W, 3).
    """

    fps: float
    short_side: int
    colour: Literal["gray", "rgb"] = "rgb"
