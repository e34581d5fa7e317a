"""Symbols: images that the user names (hate symbols) are found in frames at any size, angle, colour and slant.

(T, H, W, 3) uint8 proxies. Regions of the frame that resemble regions of a reference, whatever affine change lies
between them, say where it may be; a homography is fitted there, and all that the reference shows must agree. Covers
some symbols, not all: those in `references`. Smaller than a fifth of the frame's shorter side they are often missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curate.stage import Clip, Screen, column
from filters._symbols import digests, load_reference, reference_files
from filters._symbols_find import Finder


class Symbols(Screen):
    """How surely the frame shows one of the references, in [0, 1]; 0.5 decides."""

    name = "symbols"
    per_category = True
    evidence = (
        column("found", pa.list_(pa.string()), "", "symbols that some frame may show, the most certain first"),
        column("confidence", pa.list_(pa.float32()), "0..1", "how sure each of them is"),
        column("box", pa.list_(pa.float32()), "share", "left, top, right, bottom of the surest, in its frame's sides"),
    )

    def __init__(self, categories: Sequence[str], references: str) -> None:
        """Take an image or a folder of images, each named as its symbol; ValueError for one that shows too little."""
        super().__init__(categories)
        files = reference_files(references)
        self._finder = Finder([load_reference(file) for file in files])
        self._digests = digests(files)

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Look for every reference in (T, H, W, 3) uint8 frames."""
        sure_TR, boxes = self._finder.clip(frames_THWC)
        best_R = sure_TR.max(axis=0)
        order = [k for k in np.argsort(-best_R, kind="stable") if best_R[k] > 0]
        names = list(self._digests)
        box = boxes[int(sure_TR[:, order[0]].argmax())][order[0]] if order else []
        return {**dict.fromkeys(self.categories, sure_TR.max(axis=1)), "found": [names[k] for k in order],
                "confidence": [float(best_R[k]) for k in order], "box": box}  # fmt: skip

    def coverage(self) -> tuple[str, ...]:
        """The symbols that it knows: some, not all."""
        return tuple(self._digests)

    def identity(self) -> Mapping[str, Any]:
        """The references' bytes."""
        return {"references": self._digests}
