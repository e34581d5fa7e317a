"""Gist: a weight-free feature vector of colour and gradient layout, and words for the colours of the clip.

(T, H, W, 3) uint8 on the proxy grid -> 176 float32: Lab means (3) and orientation histograms (8) of a 4x4 grid,
averaged over frames (after Oliva and Torralba's spatial envelope, 2001; DESIGN 8, embedded default).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, Frames, Score, column
from filters._colours import colour_shares

CELLS, TURNS = 4, 8  # grid cells a side; orientations of half a turn
SIDE = 64  # pixels a side of the picture that is described: layout, not detail
NAMED = 0.0005  # share of the pixels below which a colour is not there: a caption that names it is contradicted


class Gist(Score):
    """Layout vector (unit length; cosine compares two), and the colours from the most frequent down."""

    name = "gist"
    version = 2
    frames = Frames(2.0, 256, "rgb")
    fields = (
        column("vector", pa.list_(pa.float32()), "unit length", "48 colour and 128 gradient values, 4x4 grid"),
        column("colours", pa.list_(pa.string()), "words", "colours with at least 0.05 % of the pixels"),
        column("shares", pa.list_(pa.float32()), "share", "share of the pixels of each of these colours"),
    )
    higher_is = "neutral"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        vector = np.mean([describe(frame) for frame in frames_THWC], axis=0)
        vector /= max(float(np.linalg.norm(vector)), 1e-9)
        named = {name: share for name, share in colour_shares(frames_THWC).items() if share >= NAMED}
        return {"vector": vector.tolist(), "colours": list(named), "shares": list(named.values())}


def describe(frame_HWC: np.ndarray) -> np.ndarray:
    """Colour and gradient layout of one frame, (176,) float32, each half at most of length 1."""
    small = cv2.resize(frame_HWC, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    colour = cv2.resize(lab, (CELLS, CELLS), interpolation=cv2.INTER_AREA) - np.array([50.0, 0.0, 0.0], np.float32)
    dy, dx = np.gradient(lab[..., 0])
    turn = (np.arctan2(dy, dx) / np.pi % 1.0 * TURNS).astype(int) % TURNS
    cell = np.arange(SIDE) * CELLS // SIDE
    place = (cell[:, None] * CELLS + cell[None]) * TURNS + turn
    layout = np.bincount(place.ravel(), np.hypot(dx, dy).ravel(), CELLS * CELLS * TURNS)
    halves = [part.ravel() / np.maximum(np.linalg.norm(part), 1.0) for part in (colour, layout)]
    return np.concatenate(halves).astype(np.float32)
