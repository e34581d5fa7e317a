"""Where a symbol may be in a frame: regions of the frame that resemble regions of a reference.

(H, W, 3) uint8 CIE Lab as OpenCV scales it. Every channel is cut at several levels and against its local mean, so that
ink of any colour on any ground has its outline in one of them, light or dark. A region's covariance undoes the slant
and the size; the turn is where its polar picture correlates with that of the reference, in either sense of contrast.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from filters._symbols import ANGLES, Reference, Region, Shapes, describe, polar_grid

SHORT_SIDE = 256  # pixels to which smaller frames are enlarged
LEVELS = (10, 7, 7)  # at which each channel is cut
BLOCKS = (25, 71, 151)  # pixels over which the local mean goes
OFFSET = 4  # grey levels above or below it
LEAST_AREA, LEAST_POINTS = 90.0, 28  # of a region, in pixels
COMPACT, CONVEX = 0.35, 0.14  # how far regions may differ from the reference's: log ratio, difference
LIKE = 0.4  # correlation of the polar pictures from which a place is looked at
AS_LIKE = 0.85  # of the likeliest turn: a square is like itself at four
LEAST_SIZE = 24.0  # pixels of a symbol
SLANT = 1.9  # its longest by its shortest direction, as against the reference: a tilt of 58 degrees
PLACES = 6  # of each reference in a frame, the likeliest


@dataclass(frozen=True)
class Seen:
    """Closed contours of a frame, the channel in which each was found (N,), and the channels, blurred, (H, W) uint8."""

    shapes: Shapes
    channel_N: np.ndarray
    planes: tuple[np.ndarray, ...]


def masks(lab_HWC: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The channel and a cut of it, (H, W) uint8."""
    for channel in range(3):
        plane = np.ascontiguousarray(lab_HWC[..., channel])
        low, high = np.percentile(plane[::4, ::4], [1, 99])
        count = min(LEVELS[channel], int((high - low) // 8))
        for level in np.linspace(low, high, count + 2)[1:-1]:
            yield channel, cv2.threshold(plane, level, 1, cv2.THRESH_BINARY)[1]
        for block in BLOCKS:
            mean = cv2.blur(plane, (block, block), borderType=cv2.BORDER_REFLECT_101)
            yield channel, (cv2.subtract(plane, mean) > OFFSET).view(np.uint8)
            yield channel, (cv2.subtract(mean, plane) > OFFSET).view(np.uint8)


def regions(lab_HWC: np.ndarray) -> Seen:
    """Closed contours of a frame; those that several cuts show alike are one."""
    found: list[Shapes] = []
    channels: list[np.ndarray] = []
    for channel, mask in masks(lab_HWC):
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        shapes, kept = describe(contours, LEAST_AREA, LEAST_POINTS)
        found.append(shapes)
        channels.append(np.full(len(kept), channel))
    parts = zip(*((s.centre_N2, s.root_N22, s.compact_N, s.convex_N) for s in found), strict=True)
    centre, root, compact, convex = (np.concatenate(part) for part in parts)
    channel_N = np.concatenate(channels)
    size = np.sqrt(np.maximum(root[:, 0, 0] * root[:, 1, 1], 1e-6))
    keys = np.stack([channel_N, *(centre / 2).round().T, *(8 * np.log([size, root[:, 0, 0]])).round()], axis=1)
    _, first = np.unique(keys, axis=0, return_index=True)
    shapes = Shapes(centre[first], root[first], compact[first], convex[first])
    planes = tuple(np.ascontiguousarray(plane) for plane in cv2.split(cv2.GaussianBlur(lab_HWC, (0, 0), 1.0)))
    return Seen(shapes, channel_N[first], planes)


def _correlate(region: Region, found: Seen) -> np.ndarray:
    """How like the reference N regions of a frame are, in either sense, at every turn: (N, ANGLES)."""
    across, down = np.moveaxis(polar_grid(region.reach).astype(np.float32), -1, 0)
    (xx, _), (yx, yy) = found.shapes.root_N22.astype(np.float32).transpose(1, 2, 0)[..., None, None]  # it is triangular
    x, y = found.shapes.centre_N2.astype(np.float32).T[..., None, None] - 0.5
    x, y = x + xx * across, y + yx * across + yy * down
    seen = np.empty(x.shape, np.float32)
    for channel, plane in enumerate(found.planes):
        which = np.flatnonzero(found.channel_N == channel)
        if len(which):
            flat_x, flat_y = (points[which].reshape(-1, ANGLES) for points in (x, y))
            taken = cv2.remap(plane, flat_x, flat_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            seen[which] = taken.reshape(len(which), *x.shape[1:])
    seen -= seen.mean(axis=(1, 2), keepdims=True)
    weight = region.weight_RA / region.weight_RA.sum()
    ink = region.ink_RA - (weight * region.ink_RA).sum()
    spectra = np.conj(np.fft.rfft(np.stack([weight * ink, weight]), axis=-1))
    of_seen, of_squares = np.fft.rfft(seen, axis=-1), np.fft.rfft(seen * seen, axis=-1)
    dot, mean = (np.fft.irfft((of_seen * s).sum(axis=1), ANGLES) for s in spectra)
    square = np.fft.irfft((of_squares * spectra[1]).sum(axis=1), ANGLES)
    variance = np.maximum(square - mean**2, 1.0) * (weight * ink**2).sum()
    return np.abs(dot) / np.sqrt(variance)


def places(reference: Reference, seen: Seen) -> list[np.ndarray]:
    """Where a reference may be: homographies from its grid to the frame, the likeliest first."""
    found: list[tuple[float, np.ndarray]] = []
    for region in reference.regions:
        shapes = seen.shapes
        near = np.abs(np.log(shapes.compact_N / region.compact)) < COMPACT
        near &= np.abs(shapes.convex_N - region.convex) < CONVEX
        if not near.any():
            continue
        some = Shapes(*(a[near] for a in (shapes.centre_N2, shapes.root_N22, shapes.compact_N, shapes.convex_N)))
        like = _correlate(region, Seen(some, seen.channel_N[near], seen.planes))
        peak = like >= np.maximum(LIKE, AS_LIKE * like.max(axis=1, keepdims=True))
        peak &= (like >= np.roll(like, 1, axis=1)) & (like > np.roll(like, -1, axis=1))
        which, turn = np.nonzero(peak)
        cos, sin = np.cos(turn * 2 * np.pi / ANGLES), np.sin(turn * 2 * np.pi / ANGLES)
        spins = np.stack([np.stack([cos, -sin], axis=-1), np.stack([sin, cos], axis=-1)], axis=1)
        linear = some.root_N22[which] @ spins @ np.linalg.inv(region.root_22)
        believed = believable(linear @ reference.shape_22)
        for k in np.flatnonzero(believed):
            matrix = np.eye(3)
            matrix[:2, :2] = linear[k]
            matrix[:2, 2] = some.centre_N2[which[k]] - linear[k] @ region.centre_2
            found.append((float(like[which[k], turn[k]]), matrix))
    return _distinct(found)


def believable(linear_N22: np.ndarray) -> np.ndarray:
    """Which maps of a reference, as it is drawn, are neither too small nor too slanted, (N,) bool."""
    large, small = np.linalg.svd(linear_N22, compute_uv=False).T
    return (np.sqrt(large * small) >= LEAST_SIZE) & (large <= SLANT * small)


def _distinct(found: list[tuple[float, np.ndarray]]) -> list[np.ndarray]:
    """The likeliest places, each once."""
    kept: list[np.ndarray] = []
    corners = np.array([[4, 4, 1], [44, 4, 1], [44, 44, 1], [4, 44, 1.0]]).T
    for _, matrix in sorted(found, key=lambda pair: -pair[0]):
        seen = (matrix @ corners)[:2]
        size = np.ptp(seen, axis=1).max()
        if all(np.abs((other @ corners)[:2] - seen).max() > 0.08 * size for other in kept):
            kept.append(matrix)
        if len(kept) == PLACES:
            break
    return kept
