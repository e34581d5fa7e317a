"""Synthetic scenes of 27 x 48 pictures, and a detector run over them. Shape legend: T frames, H, W, C."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from curate.stage import Boundary

FPS = 25.0


def scene(seed: int, frames: int, size: tuple[int, int] = (27, 48)) -> np.ndarray:
    """A textured picture of its own colours, with a little noise, (T, H, W, 3)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 6, 3)).astype(np.float32)
    picture = np.clip(cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 255)
    noisy = picture + rng.normal(0, 2, (frames, *size, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def dissolve(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Mix two scenes of the same length; no frame shows one of them only."""
    weights = (np.arange(len(old)) + 1) / (len(old) + 1)
    return (old + (new.astype(np.float32) - old) * weights[:, None, None, None]).astype(np.uint8)


def run(detector, frames: np.ndarray, fps: float = FPS, batches: Sequence[int] = (64,)) -> list[Boundary]:
    """Feed a detector in batches whose sizes repeat."""
    found, index, k = [], 0, 0
    while index < len(frames):
        batch = frames[index : index + batches[k % len(batches)]]
        found += detector.push(batch, [(index + i) / fps for i in range(len(batch))], index)
        index, k = index + len(batch), k + 1
    return found + detector.finish()
