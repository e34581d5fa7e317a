"""Is a symbol where it may be? A place is aligned, and then all that the reference shows must agree.

The place is a homography from the reference's grid to the frame. Gauss-Newton moves it until the ink of the reference
is best told by the frame's colours; which colours is solved for anew in each step, so any ink on any ground will do.
"""

from __future__ import annotations

import cv2
import numpy as np

from filters._symbols import GRID, Reference

STEPS = ((2.5, 8, 0.3), (1.0, 8, 0.5))  # blur in pixels of the grid, steps, share explained below which it is given up
WORSE = 0.03  # loss of that share after which no further step is tried
WINDOW = 7  # pixels of the grid over which a disagreement is local: a seventh of the symbol
HALF = GRID / 2


class Checker:
    """Aligns one reference; holds what does not depend on the frame."""

    def __init__(self, reference: Reference) -> None:
        """Prepare the steps."""
        self.reference = reference
        self.weight_P = reference.weight_GG.ravel() / reference.weight_GG.sum()
        self.levels = [(sigma, steps, least, *self._descent(sigma)) for sigma, steps, least in STEPS]

    def _descent(self, sigma: float) -> tuple[np.ndarray, np.ndarray]:
        """The blurred ink (P,), and the matrix (8, P) that turns what is left unexplained into a step."""
        ink_GG = cv2.GaussianBlur(self.reference.ink_GG, (0, 0), sigma)
        dy, dx = (cv2.Sobel(ink_GG, cv2.CV_32F, *order, ksize=3, scale=HALF / 8).ravel() for order in ((0, 1), (1, 0)))
        y, x = ((np.indices((GRID, GRID)) + 0.5 - HALF) / HALF).reshape(2, -1)
        radial = dx * x + dy * y
        jacobian = np.stack([dx * x, dx * y, dx, dy * x, dy * y, dy, -x * radial, -y * radial], axis=1)
        ink_P = ink_GG.ravel()
        base = np.stack([np.ones_like(ink_P), ink_P], axis=1)  # what a change of colours explains is no motion
        weighted = base * self.weight_P[:, None]
        jacobian -= base @ np.linalg.solve(weighted.T @ base, weighted.T @ jacobian)
        weighted = jacobian * self.weight_P[:, None]
        hessian = weighted.T @ jacobian
        hessian += np.diag(0.03 * np.diag(hessian)) + 1e-6 * np.eye(8)
        return ink_P, np.linalg.solve(hessian, weighted.T)

    def align(self, lab_HWC: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, float]:
        """The place to the pixel, and the share of the ink's variance that the colours explain there."""
        best = 0.0
        for sigma, steps, least, ink_P, descent in self.levels:
            best, place = 0.0, matrix
            for _ in range(steps):
                patch = cv2.GaussianBlur(_taken(lab_HWC, place), (0, 0), sigma * 0.7)
                told_P, explained = self._told(patch, ink_P)
                if explained > best:
                    best, matrix = explained, place
                elif explained < best - WORSE:  # what lies beside the symbol pulls at it
                    break
                step = descent @ (told_P - ink_P) / max(explained, 0.3)
                place = place @ _to_pixels(np.linalg.inv(np.append(step, 1).reshape(3, 3) + np.diag([1, 1, 0])))
                place = place / place[2, 2]
            if best < least or not _sane(matrix):
                return matrix, 0.0
        return matrix, best

    def _told(self, patch_GGC: np.ndarray, ink_P: np.ndarray) -> tuple[np.ndarray, float]:
        """The ink as the frame's colours tell it, (P,), and the share of its variance that this explains."""
        colours_PC = patch_GGC.reshape(len(ink_P), -1)
        colours_PC = colours_PC - self.weight_P @ colours_PC
        ink_mean = self.weight_P @ ink_P
        weighted = colours_PC * self.weight_P[:, None]
        gram = weighted.T @ colours_PC
        gram += np.eye(len(gram)) * 2.0  # grey levels squared: noise is no colour
        told_P = colours_PC @ np.linalg.solve(gram, weighted.T @ (ink_P - ink_mean)) + ink_mean
        variance = self.weight_P @ (ink_P - ink_mean) ** 2
        return told_P, float(self.weight_P @ (told_P - ink_mean) ** 2 / variance)

    def confidence(self, lab_HWC: np.ndarray, matrix: np.ndarray) -> tuple[float, float]:
        """How well all of it agrees, and how well the worst spot of it does, each in [0, 1]."""
        ink_GG = self.reference.ink_GG
        patch = _taken(lab_HWC, matrix)
        told_P, explained = self._told(_with_likeness(patch, ink_GG), ink_GG.ravel())
        weight = self.reference.weight_GG
        off = np.clip(told_P.reshape(GRID, GRID), 0, 1) - ink_GG
        off -= off[weight > 0].mean()
        size = (WINDOW, WINDOW)
        area = cv2.blur(weight, size, borderType=cv2.BORDER_CONSTANT)
        local = np.abs(cv2.blur(off * weight, size, borderType=cv2.BORDER_CONSTANT))
        return float(np.sqrt(explained)), float(1 - (local[area > 0.3] / area[area > 0.3]).max())


def _with_likeness(patch_GGC: np.ndarray, ink_GG: np.ndarray) -> np.ndarray:
    """The patch with two more channels: how near each pixel is to the ink's colour and to the ground's."""
    more = [patch_GGC]
    for inside in (ink_GG > 0.9, ink_GG < 0.1):
        colour = np.median(patch_GGC[inside], axis=0) if inside.any() else patch_GGC.mean(axis=(0, 1))
        distance = ((patch_GGC - colour) ** 2).sum(axis=2, keepdims=True)
        more.append(100 * np.exp(-distance / (2 * 20.0**2)))
    return np.concatenate(more, axis=2)


def _taken(lab_HWC: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """The frame's pixels on the grid, (GRID, GRID, C) float32."""
    shift = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])  # centres of pixels lie at halves
    whole = np.linalg.inv(shift) @ matrix @ shift
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(lab_HWC, whole, (GRID, GRID), flags=flags, borderMode=cv2.BORDER_REPLICATE).astype(
        np.float32
    )


def _to_pixels(unit: np.ndarray) -> np.ndarray:
    """A map of the square -1..1 as one of the grid's pixels."""
    scale = np.array([[HALF, 0, HALF], [0, HALF, HALF], [0, 0, 1]])
    return scale @ unit @ np.linalg.inv(scale)


def corners(matrix: np.ndarray) -> np.ndarray:
    """Corners of the grid in the frame, (4, 2)."""
    seen = matrix @ np.array([[0, 0, 1], [GRID, 0, 1], [GRID, GRID, 1], [0, GRID, 1.0]]).T
    return (seen[:2] / seen[2]).T


def _sane(matrix: np.ndarray) -> bool:
    """Whether the place is a convex quadrilateral of one orientation and believable slant."""
    depth = matrix[2] @ np.array([[0, 0, 1], [GRID, 0, 1], [GRID, GRID, 1], [0, GRID, 1.0]]).T
    if not np.isfinite(matrix).all() or depth.min() <= 0 or depth.max() > 2.2 * depth.min():
        return False
    edge = np.roll(corners(matrix), -1, axis=0) - corners(matrix)
    turn = edge[:, 0] * np.roll(edge[:, 1], -1) - edge[:, 1] * np.roll(edge[:, 0], -1)
    length = np.linalg.norm(edge, axis=1)
    return bool(turn.min() > 0 and length.max() < 4 * length.min())
