"""The similarity that the whole picture follows between two samples: shift, scale and turn, fitted to its optical flow.

Least squares over a grid of textured points, weights falling with the residual (Cauchy), for all pairs of a clip at
once. A flat wall tells nothing, so a picture must have texture in many places, and most of it must agree, before it is
said to move.

Legend: P pairs of samples, N points; lengths in short sides, x to the right and y down from the middle.
"""

from __future__ import annotations

import numpy as np

from filters._flow import SHORT_SIDE

STEP = 4  # pixels between points
# Grey levels across two pixels from which a point has something to follow: twice codec noise at this size.
TEXTURE = 14.0
ROUNDS = 8  # reweightings; the fit changes by less than a hundredth of a pixel after six
NOISE = 0.15 / SHORT_SIDE  # residual (a seventh of a pixel) at which a point's weight is halved
AGREES = 0.5 / SHORT_SIDE  # residual up to which a point follows the camera, beside a fifth of its own motion
CELLS = 4  # the picture in 4x4 cells:
SPREAD = 0.4  # this share of the cells must hold followers; one moving thing before a plain wall does not
FOLLOWERS = 0.5  # and this share of the textured points must follow


def similarities(flow: np.ndarray, views: np.ndarray, changed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(P, 4) shift x, shift y, scale - 1, turn in radians of each pair; and the share of points that follow, (P,)."""
    height, width = views.shape[1:]
    rows, columns = np.meshgrid(np.arange(STEP // 2, height - 1, STEP), np.arange(STEP // 2, width - 1, STEP))
    rows, columns = rows.ravel(), columns.ravel()
    x, y = (
        ((columns - width / 2) / SHORT_SIDE).astype(np.float32),
        ((rows - height / 2) / SHORT_SIDE).astype(np.float32),
    )
    moved_PN2 = flow[:, rows, columns] / SHORT_SIDE
    textured_PN = _texture(views[:-1], rows, columns) > TEXTURE
    fits, residual_PN = _robust(x, y, moved_PN2, textured_PN)
    allowed = AGREES + 0.2 * np.abs(moved_PN2).sum(axis=2)
    follows_PN = textured_PN & (residual_PN <= allowed)
    cells = np.eye(CELLS**2, dtype=np.float32)[rows * CELLS // height * CELLS + columns * CELLS // width]
    spread = ((follows_PN.astype(np.float32) @ cells) > 0).mean(axis=1)
    count = textured_PN.sum(axis=1)
    # Where nothing changed, or nothing is to be seen, it stands still as far as anyone can tell.
    told = changed.any(axis=(1, 2)) & (count >= 2 * CELLS)
    shares = np.where(told, follows_PN.sum(axis=1) / np.maximum(count, 1), 1.0)
    fits[~(told & (spread >= SPREAD) & (shares >= FOLLOWERS))] = 0.0
    return fits, shares


def _texture(views: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Gradient by central differences at the points, (P, N) in grey levels."""
    levels = views.astype(np.float32)
    across = levels[:, rows, columns + 1] - levels[:, rows, columns - 1]
    return np.abs(across) + np.abs(levels[:, rows + 1, columns] - levels[:, rows - 1, columns])


def _robust(x: np.ndarray, y: np.ndarray, moved_PN2: np.ndarray, use_PN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The similarity (shift x, y, scale - 1, turn) that most used points of each pair follow, and all residuals."""
    u, v = moved_PN2[..., 0], moved_PN2[..., 1]
    places = np.stack([np.ones_like(x), x, y, x * x + y * y], axis=1)
    used = use_PN.astype(np.float32)
    fits = np.zeros((len(u), 4), np.float32)
    fits[:, 0], fits[:, 1] = _middles(u, use_PN), _middles(v, use_PN)
    for _ in range(ROUNDS):
        weight = used / (1.0 + _squares(fits, x, y, u, v) / NOISE**2)
        s, sx, sy, sr = (weight @ places).T
        (su, sxu, syu), (sv, sxv, syv) = ((weight * part @ places[:, :3]).T for part in (u, v))
        zero = np.zeros_like(s)
        left = np.array([[s, zero, sx, -sy], [zero, s, sy, sx], [sx, sy, sr, zero], [-sy, sx, zero, sr]])
        left = left.transpose(2, 0, 1) + 1e-6 * np.eye(4)
        right = np.stack([su, sv, sxu + syv, sxv - syu], axis=1)
        fits = np.linalg.solve(left, right[..., None])[..., 0].astype(np.float32)
    return fits, np.sqrt(_squares(fits, x, y, u, v))


def _middles(values_PN: np.ndarray, use_PN: np.ndarray) -> np.ndarray:
    """Median of the used points of each pair, (P,); 0 where none is used."""
    count = use_PN.sum(axis=1)
    ordered_PN = np.sort(np.where(use_PN, values_PN, np.inf), axis=1)
    rows = np.arange(len(count))
    middles = (ordered_PN[rows, np.maximum(count - 1, 0) // 2] + ordered_PN[rows, count // 2]) / 2
    return np.where(count > 0, middles, 0.0)


def _squares(fits: np.ndarray, x: np.ndarray, y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Squared distance of every point's motion from the fit, (P, N)."""
    shift_x, shift_y, scale, turn = fits.T[..., None]
    return (u - (shift_x + scale * x - turn * y)) ** 2 + (v - (shift_y + scale * y + turn * x)) ** 2
