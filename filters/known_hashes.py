"""Hashes of every sampled frame, to be compared with lists of hashes of known material (`filters._hash_lists`).

(T, H, W, 3) uint8 on the grid of `phash`, which costs no further scaling: larger frames bring PDQ no nearer to that of
the full picture. The row holds all that is compared, so a
new list is matched without decoding: `FrameHashes.from_row(row)`. Two pictures of each frame, as it is and without
black bars, and four centre crops of each, as `filters._frame_hashes` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._frame_hashes import FrameHashes as FrameHashes
from filters._frame_hashes import frame_hashes as frame_hashes


class KnownHashes(Score):
    """Hashes for the gate of known material. They say nothing about a clip by themselves."""

    name = "known_hashes"
    frames = Frames(4.0, 96, "rgb")
    fields = (
        column("count", pa.int32(), "frames", "hashed frames"),
        column("pdq", pa.binary(), "bits", "per frame, for the whole and without bars: PDQ, 32 bytes"),
        column("quality", pa.binary(), "0..100", "per frame, for the whole and without bars: PDQ's quality, 1 byte"),
        column("views", pa.binary(), "bits", "per frame, for the whole and without bars: 4 views of 32 bytes"),
        column("information", pa.binary(), "percent", "per view: how much there is to tell it from others, 1 byte"),
        column("times_s", pa.list_(pa.float64()), "s", "times of these frames from the clip's start"),
    )

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Hash (T, H, W, 3) uint8 frames."""
        return frame_hashes(frames_THWC, clip.times_s, self.frames.fps).to_row()
