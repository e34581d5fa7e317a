"""Shots of the shapes world as pixels: one anti-aliased shape on a plain background, (T, H, W, 3) uint8 RGB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from worlds.shapes.vocabulary import BACKGROUNDS, COLOURS, DIRECTIONS, OUTLINES, RADII, REACH, SPEEDS, STILL, Look


@dataclass(frozen=True)
class Shot:
    """One continuous take: what it shows, how long, and where (start is x, y in pixels of the first frame)."""

    look: Look
    width: int
    height: int
    frames: int
    fps: float
    start: tuple[float, float]

    @property
    def radius(self) -> float:
        """Radius in pixels."""
        return RADII[self.look.size] * min(self.width, self.height)

    def path(self) -> np.ndarray:
        """Centre of the shape in every frame, (T, 2) pixels."""
        pace = SPEEDS.get(self.look.speed, 0.0) * min(self.width, self.height) / self.fps
        step = pace * np.array(DIRECTIONS[self.look.direction or STILL])
        return np.array(self.start) + np.arange(self.frames)[:, None] * step


def place(rng: np.random.Generator, look: Look, width: int, height: int, frames: int, fps: float) -> Shot:
    """Put a look somewhere, so that its shape stays inside the picture from the first frame to the last."""
    shot = Shot(look, width, height, frames, fps, (0.0, 0.0))
    travel = shot.path()[-1]
    margin = REACH * shot.radius
    low = margin + np.maximum(-travel, 0.0)
    high = np.array([width, height]) - margin - np.maximum(travel, 0.0)
    if (high < low).any():
        raise ValueError(f"{look.short()} ({look.speed}, {frames} frames) does not fit into {width}x{height}")
    x, y = rng.uniform(low, high)
    return Shot(look, width, height, frames, fps, (float(x), float(y)))


def fits(look: Look, width: int, height: int, frames: int, fps: float) -> bool:
    """Whether the shape can move at its speed for so long without leaving the picture."""
    shot = Shot(look, width, height, frames, fps, (0.0, 0.0))
    return bool((np.abs(shot.path()[-1]) <= np.array([width, height]) - 2 * REACH * shot.radius).all())


def render(shot: Shot) -> np.ndarray:
    """Paint a shot, (T, H, W, 3) uint8."""
    ground = np.array(BACKGROUNDS[shot.look.background], np.float32)
    paint = np.array(COLOURS[shot.look.color], np.float32)
    frames_THWC = np.empty((shot.frames, shot.height, shot.width, 3), np.uint8)
    frames_THWC[:] = ground.astype(np.uint8)
    outline = OUTLINES[shot.look.shape] * shot.radius
    path = shot.path()
    side = 2 * int(np.ceil(np.abs(outline).max()) + 2)
    corner = np.clip(np.round(path).astype(int) - side // 2, 0, [max(0, shot.width - side), max(0, shot.height - side)])
    high, wide = min(side, shot.height), min(side, shot.width)
    # Pixel (0, 0) covers [0, 1) x [0, 1): its centre lies half a pixel in.
    x = corner[:, 0, None, None] + np.arange(wide)[None, None] + 0.5 - path[:, 0, None, None]
    y = corner[:, 1, None, None] + np.arange(high)[None, :, None] + 0.5 - path[:, 1, None, None]
    cover_THW = np.clip(0.5 - _distance(x, y, outline), 0.0, 1.0)
    patches = np.round(ground + cover_THW[..., None] * (paint - ground)).astype(np.uint8)
    for frame, (left, top), patch in zip(frames_THWC, corner, patches, strict=True):
        frame[top : top + high, left : left + wide] = patch
    return frames_THWC


def _distance(x: np.ndarray, y: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """Signed distance in pixels from each point to a closed polygon (n, 2): negative inside.

    The nearest point of every edge gives the distance, the parity of edges crossed by a ray gives the sign.
    """
    shape = np.broadcast_shapes(x.shape, y.shape)
    nearest = np.full(shape, np.inf)
    inside = np.zeros(shape, bool)
    for (ax, ay), (bx, by) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0.0, 1.0)
        np.minimum(nearest, np.hypot(x - ax - along * dx, y - ay - along * dy), out=nearest)
        if dy != 0.0:
            inside ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * dx / dy)
    return np.where(inside, -nearest, nearest)
