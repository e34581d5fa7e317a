"""Symbols: images that the user names (hate symbols) are found in frames at any size, angle, colour and slant.

(T, H, W, 3) uint8 proxies. Where regions of a frame and of a reference resemble each other, a homography is fitted,
and all that the reference shows must agree. Some symbols, not all; none that is hidden in part, mirrored or tiny.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from curate.stage import Clip, Screen, column
from filters._symbols import counts, digests, load_reference, reference_files
from filters._symbols_find import Finder


class Symbols(Screen):
    """How surely the frame shows one of the references, in [0, 1]; 0.5 decides."""

    name = "symbols"
    evidence = (
        column("found", pa.list_(pa.string()), "", "symbols that some frame may show, the most certain first"),
        column("confidence", pa.list_(pa.float32()), "0..1", "how sure each of them is"),
        column("box", pa.list_(pa.float32()), "share", "left, top, right, bottom of the surest, in its frame's sides"),
    )

    def __init__(self, categories: Sequence[str], references: str) -> None:
        """Images of a folder, each named as its symbol; those in a subfolder named as a category count for it alone."""
        super().__init__(categories)
        files = reference_files(references)
        self._counts = counts(files, references, categories)
        self._finder = Finder([load_reference(file) for file in files])
        self._digests = digests(files)

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Look for every reference in (T, H, W, 3) uint8 frames."""
        sure_TR, boxes = self._finder.clip(frames_THWC)
        best_R = sure_TR.max(axis=0)
        order = [k for k in np.argsort(-best_R, kind="stable") if best_R[k] > 0]
        box = boxes[int(sure_TR[:, order[0]].argmax())][order[0]] if order else []
        by_category = {name: sure_TR[:, counted].max(axis=1) for name, counted in self._counts.items()}
        found = [list(self._digests)[k] for k in order]
        return {**by_category, "found": found, "confidence": best_R[order].tolist(), "box": box}

    def covers(self, category: str) -> list[str]:
        """The symbols that it knows of a category: some, not all."""
        return [list(self._digests)[k] for k in self._counts[category]]

    def identity(self) -> Mapping[str, Any]:
        """The references' bytes, and what each counts for."""
        return {"references": self._digests, "counts": self._counts}
