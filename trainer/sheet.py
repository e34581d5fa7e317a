"""A contact sheet of samples: a row a prompt under its words, frames of the clip from first to last as columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from curate.media.writer import write_image
from trainer.durable import storing

ROWS, COLUMNS = 32, 6  # at most: the first prompts, and frames of each
TALL, GAP, WORDS = 112, 4, 20  # pixels: a frame's height, between frames, the line of words above them
_LETTER = 7  # pixels that a letter takes at most, so that the words end where the sheet does


class Sheet:
    """Takes clips one by one, and keeps of each no more than the sheet shows."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[str, np.ndarray]] = {}

    def add(self, place: int, words: str, frames_THWC: np.ndarray) -> None:
        """Take the clip of a place (from 0), uint8 RGB; what is past the last row is left out."""
        if place >= ROWS:
            return
        count, tall, wide, _ = frames_THWC.shape
        shown = np.unique(np.linspace(0, count - 1, COLUMNS).round().astype(int))
        size = max(1, round(wide * TALL / tall)), TALL
        method = cv2.INTER_AREA if tall > TALL else cv2.INTER_CUBIC
        tiles = [np.pad(cv2.resize(frames_THWC[t], size, interpolation=method), ((0, GAP), (0, GAP), (0, 0)),
                        constant_values=255) for t in shown]  # fmt: skip
        self._rows[place] = words, np.concatenate(tiles, axis=1)

    def pixels(self) -> np.ndarray:
        """Return the sheet, (H, W, 3) uint8 RGB."""
        rows = [self._rows[place] for place in sorted(self._rows)]
        wide = max(strip.shape[1] for _, strip in rows)
        parts = []
        for words, strip in rows:
            line = np.full((WORDS, wide, 3), 255, np.uint8)
            # The font knows ASCII alone; all of the prompt stands in prompts.jsonl, and in the sheet's metadata.
            text = words.encode("ascii", "replace").decode()[: wide // _LETTER]
            cv2.putText(line, text, (2, WORDS - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
            room = ((0, 0), (0, wide - strip.shape[1]), (0, 0))
            parts += [line, np.pad(strip, room, constant_values=255)]
        return np.concatenate(parts)

    def write(self, path: Path, metadata: dict[str, Any]) -> None:
        """Write the sheet as a PNG that carries its provenance."""
        with storing(path):
            write_image(path, self.pixels(), metadata=metadata)
