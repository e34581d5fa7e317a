"""Reference images of symbols, made ready to be looked for.

An image becomes a square of `GRID` x `GRID` pixels that holds its ink (0..1, whatever the colours are: a symbol keeps
its shape in any colour), a weight that says where the symbol decides (its convex hull and a margin, as far as the image
reaches), and its regions: every closed contour of the ink or of a hole in it, by which it is found again in a frame.

A region is told by what no affine change alters: how compact and how convex it is, and by the picture around it in
polar coordinates of its own, where its covariance is the unit matrix; there a turn of the symbol is a shift. A
photograph has local features in place of regions (`_symbols_texture`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from filters._symbols_texture import LEAST_FEATURES, NONE, Features, features, textured

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
GRID = 48  # pixels a side
MARGIN = 0.06  # of the symbol's size, around its hull
DRAWN = 256  # pixels of the larger side at which the contours of a reference are traced
SMALLEST = 24  # pixels of a reference, in its smaller direction
SHARP = 64  # pixels of a reference from which its shades can be told from its edges
THIN = 12  # pixels of its ink, as it is traced
CONTRAST = 24  # grey levels between ink and ground
FLAT = 0.9  # share of its convex hull that a shape covers at most, to be more than a bar or a disc
RADII, ANGLES = 16, 72
REACH = 9.0  # standard deviations of a region to which a symbol is foretold from it; a disc's edge is at 2
LEAST_AREA = 0.01  # of the symbol's box


@dataclass(frozen=True)
class Shapes:
    """N closed contours: centres (N, 2), roots of their covariances (N, 2, 2), compactness and convexity (N,)."""

    centre_N2: np.ndarray
    root_N22: np.ndarray
    compact_N: np.ndarray
    convex_N: np.ndarray


@dataclass(frozen=True)
class Region:
    """A contour of a reference, and the ink around it in polar coordinates, (RADII, ANGLES), with weights."""

    centre_2: np.ndarray
    root_22: np.ndarray
    compact: float
    convex: float
    reach: float
    ink_RA: np.ndarray
    weight_RA: np.ndarray


@dataclass(frozen=True)
class Reference:
    """A symbol: its ink and where it counts, (GRID, GRID) float32, its regions and features in pixels of that grid.

    shape_22 maps the image, scaled to a box of size 1, to the grid.
    """

    name: str
    ink_GG: np.ndarray
    weight_GG: np.ndarray
    shape_22: np.ndarray
    regions: tuple[Region, ...]
    features: Features


def reference_files(references: str) -> list[Path]:
    """The images in a folder and its subfolders, or the one image; ValueError where there is none."""
    path = Path(references)
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        raise ValueError(f"{references} is no image and no folder with images ({', '.join(SUFFIXES)})")
    stems = [file.stem for file in found]
    for stem in stems:
        if stems.count(stem) > 1:
            raise ValueError(f"two images in {references} are named {stem}: the name tells symbols apart; rename one")
    return found


def counts(files: list[Path], references: str, categories: Sequence[str]) -> dict[str, list[int]]:
    """Numbers of the images that count for each category; ValueError for a category without any.

    An image below a folder of `references` that is named as one of them counts for that one alone, others for all.
    """
    root = Path(references)
    inner = [file.parent.relative_to(root).parts if root.is_dir() else () for file in files]
    named = [set(parts) & set(categories) for parts in inner]
    found = {name: [k for k, of in enumerate(named) if not of or name in of] for name in categories}
    if lacking := [name for name, counted in found.items() if not counted]:
        raise ValueError(f"{references} has no image for {lacking[0]}")
    return found


def digests(files: list[Path]) -> dict[str, str]:
    """sha256 of every file, by the symbol's name."""
    return {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def load_reference(file: Path) -> Reference:
    """Make an image ready; ValueError names the file where it cannot be read or shows too little."""
    pixels = cv2.imdecode(np.frombuffer(file.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError(f"{file} cannot be read as an image")
    if min(pixels.shape[:2]) < SMALLEST:
        raise ValueError(f"{file} is too small: a symbol needs {SMALLEST} pixels in each direction")
    grey_HW = _pattern(pixels, file)
    level, _ = cv2.threshold(grey_HW, 0, 255, cv2.THRESH_OTSU)
    soft_HW = np.clip((grey_HW.astype(np.float32) - level) / 64 + 0.5, 0, 1)
    border = np.concatenate([soft_HW[0], soft_HW[-1], soft_HW[:, 0], soft_HW[:, -1]])
    if np.median(border) > 0.5:  # what runs along the image's border is ground
        soft_HW = 1 - soft_HW
    # A small picture's edges are soft when it is enlarged, and are no texture.
    shaded = max(pixels.shape[:2]) >= SHARP and textured(grey_HW, level, soft_HW)
    found = features(grey_HW) if shaded else None
    if found is not None and len(found.points_N2) < LEAST_FEATURES:
        raise ValueError(f"{file} shows too little: shades without detail; draw the symbol in two plain colours")
    return _prepare(file, soft_HW, found)


def _pattern(pixels: np.ndarray, file: Path) -> np.ndarray:
    """One grey picture in which ink and ground differ most, (H, W) uint8, at most `DRAWN` pixels large."""
    if pixels.dtype != np.uint8:
        pixels = (pixels / 257).astype(np.uint8)
    scale = DRAWN / max(pixels.shape[:2])
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=mode)
    if pixels.ndim == 3 and pixels.shape[2] == 4 and np.ptp(pixels[..., 3]) > 128:
        return pixels[..., 3]  # cut out: its outline is the symbol
    if pixels.ndim == 2:
        values_PC = pixels.reshape(-1, 1).astype(np.float32)
    else:
        values_PC = cv2.cvtColor(pixels[..., :3], cv2.COLOR_BGR2LAB).reshape(-1, 3).astype(np.float32)
    _, axes = cv2.PCACompute(values_PC, mean=np.empty(0), maxComponents=1)[:2]
    line_P = values_PC @ axes[0]
    low, high = np.percentile(line_P, [1, 99])
    if high - low < CONTRAST:
        raise ValueError(f"{file} shows too little: it has one colour")
    return np.clip((line_P - low) * (255 / (high - low)), 0, 255).astype(np.uint8).reshape(pixels.shape[:2])


def _prepare(file: Path, soft_HW: np.ndarray, found: Features | None) -> Reference:
    """Cut the ink out, bring it to the grid, and trace its contours."""
    mask_HW = (soft_HW > 0.5).astype(np.uint8)
    left, top, width, height = cv2.boundingRect(mask_HW)
    if min(width, height) < THIN:
        raise ValueError(f"{file} shows too little: its ink is a line of {width} x {height} pixels")
    points = np.argwhere(mask_HW)[:, ::-1].astype(np.int32)
    hull_HW = cv2.fillConvexPoly(np.zeros_like(mask_HW), cv2.convexHull(points), 1)
    contours, _ = cv2.findContours(np.pad(mask_HW, 1), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    shapes, _ = describe(contours, LEAST_AREA * width * height, 0)
    plain = len(shapes.convex_N) <= 2 and (shapes.convex_N > FLAT).all()
    if found is None and (plain or mask_HW.sum() > FLAT * hull_HW.sum()):
        raise ValueError(f"{file} shows too little: a bar, a disc, a ring or a plain area is found anywhere")
    inner = GRID * (1 - 2 * MARGIN)
    to_grid = np.array([[inner / width, 0, 0], [0, inner / height, 0], [0, 0, 1.0]])
    to_grid[:2, 2] = GRID * MARGIN - to_grid[:2, :2] @ [left, top]
    near_HW = cv2.dilate(hull_HW, np.ones((3, 3), np.uint8), iterations=round(MARGIN * max(width, height)))
    ink_GG, weight_GG = (_scaled(image, to_grid) for image in (soft_HW, near_HW.astype(np.float32)))
    regions = [
        region for k in range(len(shapes.compact_N)) if (region := _region(shapes, k, to_grid, ink_GG, weight_GG))
    ]
    if found is not None:
        regions = []  # the outlines of a photograph's light and shade are those of anything
    elif not regions:
        raise ValueError(f"{file} shows too little: it has no shape of some size")
    shape_22 = to_grid[:2, :2] * np.sqrt(width * height)
    found = found or NONE
    found = Features(found.points_N2 @ to_grid[:2, :2].T + to_grid[:2, 2], found.descriptors_ND)
    return Reference(file.stem, ink_GG, (weight_GG > 0.5).astype(np.float32), shape_22, tuple(regions), found)


def _scaled(image_HW: np.ndarray, to_grid: np.ndarray) -> np.ndarray:
    """An image on the grid; zero beyond it."""
    blurred = cv2.GaussianBlur(image_HW, (0, 0), 0.4 / max(to_grid[0, 0], to_grid[1, 1], 0.4))
    shift = np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])  # centres of pixels lie at halves
    return cv2.warpPerspective(blurred, shift @ to_grid @ np.linalg.inv(shift), (GRID, GRID))


def describe(contours: Sequence[np.ndarray], least_area: float, least_points: int) -> tuple[Shapes, list[int]]:
    """What no affine change alters of contours of some size, and which of them these are."""
    rows, kept = [], []
    for index, contour in enumerate(contours):
        if len(contour) < least_points:
            continue
        m = cv2.moments(contour)
        area = m["m00"]
        if area < least_area:
            continue
        xx, xy, yy = m["mu20"] / area, m["mu11"] / area, m["mu02"] / area
        spread = xx * yy - xy * xy
        if spread <= 0 or area * area > 200 * spread:  # a disc has 158, and nothing has more
            continue
        convex = area / max(area, cv2.contourArea(cv2.convexHull(contour)))
        rows.append((m["m10"] / area + 0.5, m["m01"] / area + 0.5, xx, xy, yy, area * area / spread / 158, convex))
        kept.append(index)
    table = np.array(rows, np.float64).reshape(-1, 7)
    cov = np.stack([table[:, 2:4], table[:, 3:5]], axis=1)
    root = np.linalg.cholesky(cov) if len(table) else cov
    return Shapes(table[:, :2], root, table[:, 5], table[:, 6]), kept


def polar_grid(reach: float) -> np.ndarray:
    """Points (RADII, ANGLES, 2) around a region whose covariance is the unit matrix."""
    radius = (np.arange(RADII) + 0.5) * reach / RADII
    angle = np.arange(ANGLES) * 2 * np.pi / ANGLES
    return radius[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)[None]


def _region(shapes: Shapes, k: int, to_grid: np.ndarray, ink_GG: np.ndarray, weight_GG: np.ndarray) -> Region | None:
    """One contour with its surroundings; None where it is too small beside the symbol to foretell it."""
    centre = to_grid[:2, :2] @ (shapes.centre_N2[k] - 1) + to_grid[:2, 2]  # the picture was padded by one pixel
    root = to_grid[:2, :2] @ shapes.root_N22[k]
    inside = np.argwhere(weight_GG > 0.5)[:, ::-1] + 0.5 - centre
    reach = float(np.linalg.norm(inside @ np.linalg.inv(root).T, axis=1).max())
    if reach > REACH:
        return None
    points = (centre + polar_grid(reach) @ root.T - 0.5).astype(np.float32)
    ink_RA = cv2.remap(ink_GG, points[..., 0], points[..., 1], cv2.INTER_LINEAR)
    weight_RA = cv2.remap(weight_GG, points[..., 0], points[..., 1], cv2.INTER_LINEAR)
    weight_RA = weight_RA * np.linspace(0.5 / RADII, 1, RADII, dtype=np.float32)[:, None]  # a ring's area
    return Region(centre, root, float(shapes.compact_N[k]), float(shapes.convex_N[k]), reach, ink_RA, weight_RA)
