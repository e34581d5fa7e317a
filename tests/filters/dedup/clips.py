"""Clips for the tests of duplicates: takes of noise scenes and of the shapes world, and tables of their hashes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pyarrow as pa

from curate.stage import Clip, measure_row
from filters.dedup.phash import Phash
from tests.filters.pictures import scaled, texture
from worlds.shapes.draw import place, render
from worlds.shapes.vocabulary import Look

FPS = 8.0


def take(seed: int, seconds: float = 3.0, speed: float = 0.15) -> np.ndarray:
    """A camera that pans over a noise scene in which a smaller one moves the other way, (T, 120, 160, 3)."""
    rng = np.random.default_rng(seed)
    ground, thing = texture(2 * seed + 1, 120, 480), texture(2 * seed + 2, 48, 48)
    angle, row = rng.uniform(0.4, 1.0), int(rng.integers(10, 60))
    frames = []
    for t in range(round(seconds * FPS)):
        left = round(speed * angle * t * 120 / FPS)
        frame = ground[:, left : left + 160].copy()
        x = 100 - round(0.2 * t * 120 / FPS) % 110
        frame[row : row + 48, max(x, 0) : max(x, 0) + 48] = thing[:, : 160 - max(x, 0)][:, :48]
        frames.append(frame)
    return np.stack(frames)


def shape(look: Look, seed: int = 0) -> np.ndarray:
    """A shot of the shapes world, (16, 96, 96, 3); equal seeds start at the same place if size and motion agree."""
    return render(place(np.random.default_rng(seed), look, 96, 96, 16, FPS))


def resized(frames: np.ndarray, width: int, height: int) -> np.ndarray:
    """Frames at another size."""
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def hashed(name: str, frames: np.ndarray, fps: float = FPS, **facts: Any) -> dict[str, Any]:
    """A row of a clip with its hashes; facts replace what the frames say."""
    score = Phash()
    grid = np.arange(0, len(frames) / fps, max(1 / score.frames.fps, 1 / fps))
    picks = np.minimum(np.ceil(grid * fps - 1e-9).astype(int), len(frames) - 1)
    clip = Clip(name, frames.shape[2], frames.shape[1], len(frames), len(frames) / fps)
    found = measure_row(score, scaled(frames[picks], score.frames), clip)
    row: dict[str, Any] = {"clip_id": name, "source_id": f"s-{name}", "width": clip.width, "height": clip.height}
    row |= {"num_frames": len(frames), "duration_s": clip.duration_s, "license": "unknown", "content.hash": None}
    row |= {"sharpness.score": None} | {f"phash.{key}": value for key, value in found.items()}
    return row | facts


def table(*rows: dict[str, Any]) -> pa.Table:
    """Rows as the table that a search reads."""
    fields = [pa.field(f"phash.{field.name}", field.type) for field in Phash.fields]
    fields += [pa.field("content.hash", pa.string()), pa.field("sharpness.score", pa.float32())]
    fields += [pa.field(name, pa.string()) for name in ("clip_id", "source_id", "license")]
    fields += [pa.field(name, pa.int32()) for name in ("width", "height", "num_frames")]
    return pa.Table.from_pylist(list(rows), schema=pa.schema([*fields, pa.field("duration_s", pa.float64())]))
