"""Generated footage: what the table of the dct codec was fitted on, and what its tests measure on.

Half of the clips are flat backgrounds with moving flat polygons (hard edges, saturated colours), half are
coloured noise with a 1/f amplitude spectrum that drifts at a constant speed (soft edges, the spectrum of
ordinary pictures). Arrays are frames_THWC, uint8 RGB.
"""

from __future__ import annotations

import numpy as np

# Amplitude of the chroma planes against luma in the drifting noise: ordinary footage is far less
# saturated than the polygons, a quarter is the ratio usual for photographs.
CHROMA_SHARE = 0.25


def polygons_THWC(rng: np.random.Generator, frames: int, side: int) -> np.ndarray:
    """Return a clip of one or two flat convex polygons moving over a flat background."""
    y_HW, x_HW = np.mgrid[0:side, 0:side].astype(np.float64) + 0.5
    clip = np.empty((frames, side, side, 3))
    clip[:] = rng.uniform(0, 110, 3)
    for _ in range(int(rng.integers(1, 3))):
        colour = rng.uniform(0, 255, 3)
        radius = rng.uniform(0.1, 0.3) * side
        x0, y0 = rng.uniform(0.2, 0.8, 2) * side
        vx, vy = rng.uniform(-0.04, 0.04, 2) * side
        corners = int(rng.integers(3, 9))
        turn = rng.uniform(0, 2 * np.pi)
        for t in range(frames):
            inside_HW = np.full((side, side), 1.0)
            for k in range(corners):
                angle = turn + 2 * np.pi * k / corners
                depth = radius - (x_HW - x0 - vx * t) * np.cos(angle) - (y_HW - y0 - vy * t) * np.sin(angle)
                inside_HW = np.minimum(inside_HW, np.clip(depth + 0.5, 0, 1))
            clip[t] += inside_HW[..., None] * (colour - clip[t])
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)


def drift_THWC(rng: np.random.Generator, frames: int, side: int) -> np.ndarray:
    """Return a clip of 1/f noise that drifts by a constant, fractional number of pixels a frame."""
    fy, fx = np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None, :]
    radius = np.sqrt(fy**2 + fx**2)
    radius[0, 0] = 1.0
    planes = np.fft.fft2(rng.standard_normal((3, side, side))) / radius
    planes[:, 0, 0] = 0.0
    vx, vy = rng.uniform(-1, 1, 2)
    clip = np.empty((frames, side, side, 3))
    for t in range(frames):
        moved = np.fft.ifft2(planes * np.exp(-2j * np.pi * (fx * vx + fy * vy) * t)).real
        luma, blue, red = moved * np.array([1.0, CHROMA_SHARE, CHROMA_SHARE])[:, None, None]
        clip[t] = np.stack([luma + 1.402 * red, luma - 0.344 * blue - 0.714 * red, luma + 1.772 * blue], -1)
    clip *= rng.uniform(25, 60) / clip.std()
    return np.clip(np.rint(clip + rng.uniform(70, 180)), 0, 255).astype(np.uint8)


def footage(seed: int, clips: int, frames: int = 9, side: int = 64) -> list[np.ndarray]:
    """Return clips (frames_THWC, uint8 RGB), polygons and drifting noise by turns; a pure function."""
    makers = (polygons_THWC, drift_THWC)
    return [makers[i % 2](np.random.default_rng([seed, i]), frames, side) for i in range(clips)]
