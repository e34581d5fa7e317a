"""Are signs found in real footage at any size, angle, colour and slant, and nothing where there is none?

    python -m benchmarks.symbols [--seed N] [--count 360] [--data FOLDER_OF_CLIPS] [--per-clip 40] --json

Signs are the abstract glyphs of the kit `shapes` and five drawn here; the references are their plain pictures. Each is
planted into a frame of a real clip, scaled to the proxies' 256 pixels, which is then coded as a JPEG of quality 90. Its
height is that of its picture before it is slanted, as a share of the frame's shorter side. Kinds:

    plain        as the reference is, turned        recolour  any ink on any plate, at least 30 apart in Lab (CIE76)
    footage      no plate: ink on the footage       slant     recoloured, tilted by up to 30 degrees
    inverted     dark ink on a light plate          all       footage or recolour, and tilted

Ink on footage covers at least 70 %, and nine tenths of the pixels that it covers or surrounds differ from it by 25 at
least. Decoys: parts of the signs, and other signs, planted likewise, at 0.3 and more. False alarms are counted in every
clip at 2 frames a second, at most `--per-clip` of each, spread over it; 0 takes them all. Takes about 7 core-minutes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from scipy.stats import beta

from benchmarks.result import show
from curate.stage import Clip, measure_row
from filters.symbols import Symbols

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
KIT = SHARED.parents[1] / "kits" / "shapes"
SIZES = (0.15, 0.20, 0.25, 0.30, 0.40, 0.60)  # lower ends of the buckets; the last reaches to 0.9
ENOUGH = 0.30  # from which the yardstick holds
KINDS = ("plain", "footage", "inverted", "recolour", "slant", "all")
THRESHOLD = 0.5  # on the screen's value
SIDE = 240  # pixels of a drawing
FOCAL = 1.0  # of the camera that sees a slanted sign, in shorter sides: 53 degrees
PLATE, INK = 30.0, 25.0  # least distances in Lab
CYAN = (0, 205, 225)


def _key(ink: np.ndarray) -> None:
    """A ring with a bitted bar: a key."""
    cv2.circle(ink, (70, 120), 45, 255, 20)
    cv2.line(ink, (115, 120), (225, 120), 255, 20)
    cv2.line(ink, (175, 120), (175, 165), 255, 18)
    cv2.line(ink, (214, 120), (214, 175), 255, 18)


def _spiral(ink: np.ndarray) -> None:
    """One line that winds outwards."""
    turn = np.linspace(0.6, 5.2 * np.pi, 200)
    points = np.stack([120 + 6.2 * turn * np.cos(turn), 120 + 6.2 * turn * np.sin(turn)], axis=1)
    cv2.polylines(ink, [np.rint(points).astype(np.int32)], False, 255, 16)


def _arrow(ink: np.ndarray) -> None:
    """A thick bent arrow, filled, without holes."""
    outline = [[20, 220], [20, 90], [130, 90], [130, 40], [225, 120], [130, 200], [130, 150], [80, 150], [80, 220]]
    cv2.fillPoly(ink, [np.array(outline, np.int32)], 255)


def _crest(ink: np.ndarray) -> None:
    """A filled shield with a hollow star and a bar."""
    shield = np.array([[30, 25], [210, 25], [210, 130], [120, 225], [30, 130]], np.int32)
    cv2.fillPoly(ink, [shield], 255)
    turn = np.arange(10) * np.pi / 5 - np.pi / 2
    reach = np.where(np.arange(10) % 2, 22, 55)
    star = np.stack([120 + reach * np.cos(turn), 95 + reach * np.sin(turn)], axis=1)
    cv2.fillPoly(ink, [np.rint(star).astype(np.int32)], 0)
    cv2.line(ink, (85, 165), (155, 165), 0, 14)


def _rune(ink: np.ndarray) -> None:
    """Strokes of two lengths from one stem, and a loose square."""
    cv2.line(ink, (90, 20), (90, 220), 255, 20)
    cv2.line(ink, (90, 40), (190, 100), 255, 20)
    cv2.line(ink, (90, 110), (150, 146), 255, 20)
    cv2.rectangle(ink, (150, 165), (205, 220), 255, -1)


DRAWN: dict[str, Callable[[np.ndarray], None]] = {
    "key": _key, "spiral": _spiral, "arrow": _arrow, "crest": _crest, "rune": _rune,
}  # fmt: skip


def drawn(draw: Callable[[np.ndarray], None]) -> np.ndarray:
    """Ink of a drawing, (SIDE, SIDE) float32 in [0, 1]."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    draw(ink)
    return ink.astype(np.float32) / 255


def signs() -> dict[str, np.ndarray]:
    """Ink of every sign that has a reference."""
    found = {name: drawn(draw) for name, draw in DRAWN.items()}
    if KIT.is_dir():
        sys.path.insert(0, str(KIT))
        from shapeworld.plants import GLYPHS, draw_glyph

        found |= {name: draw_glyph(name, SIDE)[..., 2].astype(np.float32) / 225 for name in GLYPHS}
    return found


def _line(*points: tuple[int, int], thick: int = 22) -> Callable[[np.ndarray], None]:
    return lambda ink: cv2.polylines(ink, [np.array(points, np.int32)], False, 255, thick)


def _ring(x: int = 120, y: int = 120, radius: int = 95, thick: int = 22) -> Callable[[np.ndarray], None]:
    return lambda ink: cv2.circle(ink, (x, y), radius, 255, thick)


def _frame(ink: np.ndarray) -> None:
    cv2.rectangle(ink, (16, 16), (224, 224), 255, 20)


def _zigzag(y: int) -> Callable[[np.ndarray], None]:
    return _line((20, y + 25), (70, y - 25), (120, y + 25), (170, y - 25), (220, y + 25), thick=20)


def _dots(*at: tuple[int, int]) -> list[Callable[[np.ndarray], None]]:
    return [_ring(x, y, 26, -1) for x, y in at]


BAR, POST = _line((70, 120), (170, 120)), _line((120, 70), (120, 170))
DECOYS: dict[str, Sequence[Callable[[np.ndarray], None]]] = {
    "A without cross": [_ring()], "A without ring": [BAR, POST], "A with one bar": [_ring(), BAR],
    "A with three arms": [_ring(), BAR, _line((120, 70), (120, 120))],
    "B without one": [_zigzag(50), _zigzag(120)], "B with one": [_zigzag(120)], "B spread": [_zigzag(50), _zigzag(190)],
    "C without dots": [_frame], "C without a dot": [_frame, *_dots((120, 75), (75, 160))],
    "C without frame": _dots((120, 75), (75, 160), (165, 160)),
    "frame, four dots": [_frame, *_dots((75, 75), (75, 165), (165, 75), (165, 165))],
    "frame, cross": [_frame, BAR, POST], "ring, three dots": [_ring(), *_dots((120, 75), (75, 160), (165, 160))],
    "ring, square": [_ring(), lambda ink: cv2.rectangle(ink, (85, 85), (155, 155), 255, 18)],
    "three bars": [_line((20, y), (220, y), thick=20) for y in (50, 120, 190)],
    "three waves": [_line((20, y), (120, y - 40), (220, y), thick=20) for y in (70, 130, 190)],
    "star": [_line(*((120 + round(95 * np.sin(k * 0.8 * np.pi)), 125 - round(95 * np.cos(k * 0.8 * np.pi)))
                     for k in range(6)), thick=18)],
    "key without bits": [_ring(70, 120, 45, 20), _line((115, 120), (225, 120), thick=20)],
    "rings": [_ring(), _ring(radius=50)], "text": [
        lambda ink: cv2.putText(ink, "EXIT", (10, 145), cv2.FONT_HERSHEY_DUPLEX, 2.9, 255, 12)],
    "half of A": [_ring(), BAR, POST, lambda ink: cv2.rectangle(ink, (0, 0), (119, 240), 0, -1)],
    "half of C": [_frame, *_dots((120, 75), (75, 160), (165, 160)), lambda ink: ink.__setitem__(slice(120), 0)],
}  # fmt: skip


def decoy(name: str) -> np.ndarray:
    """Ink of a decoy."""
    return drawn(lambda ink: [draw(ink) for draw in DECOYS[name]])  # type: ignore[arg-type,return-value]


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab of 8-bit colours, any shape that ends in 3."""
    flat = np.asarray(rgb, np.float32).reshape(1, -1, 3) / 255
    return cv2.cvtColor(flat, cv2.COLOR_RGB2LAB).reshape(np.shape(rgb))


def place(size: float, tilt: float, frame_HWC: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Homography from a drawing to the frame, turned by any angle, tilted about any axis; None where it has no room."""
    height, width = frame_HWC.shape[:2]
    short = min(height, width)
    axis, turn = rng.uniform(0, 2 * np.pi, 2)
    spin = cv2.Rodrigues(np.array([0, 0, turn]))[0]
    lean = cv2.Rodrigues(np.array([np.cos(axis), np.sin(axis), 0]) * np.radians(tilt))[0]
    corners = np.array([[x, y, 0] for x in (-0.5, 0.5) for y in (-0.5, 0.5)]) * size
    seen = corners @ (lean @ spin).T + [0, 0, FOCAL]
    points = seen[:, :2] / seen[:, 2:] * FOCAL * short
    low, high = -points.min(axis=0), np.array([width, height]) - points.max(axis=0)
    if (low > high).any():
        return None
    points += rng.uniform(low, high)
    source = np.float32([[x, y] for x in (0, SIDE) for y in (0, SIDE)])
    return cv2.getPerspectiveTransform(source, points.astype(np.float32))


def spread(ink_SS: np.ndarray, matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """A drawing where it stands in the frame, (H, W) float32; four samples a side of a pixel."""
    grow = np.diag([4.0, 4.0, 1.0])
    large = cv2.warpPerspective(ink_SS, grow @ matrix, (4 * width, 4 * height))
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)


def planted(
    frame_HWC: np.ndarray, ink_SS: np.ndarray, size: float, kind: str, rng: np.random.Generator
) -> np.ndarray | None:
    """The frame with a sign, coded as a proxy; None where there is no room or not enough contrast."""
    matrix = place(size, rng.uniform(5, 30) if kind in ("slant", "all") else 0.0, frame_HWC, rng)
    if matrix is None:
        return None
    height, width = frame_HWC.shape[:2]
    ink_HW1 = spread(ink_SS, matrix, width, height)[..., None]
    plate_HW1 = spread(np.ones_like(ink_SS), matrix, width, height)[..., None]
    ink, plate = rng.integers(0, 256, (2, 3))
    if kind == "footage" or (kind == "all" and rng.random() < 0.5):
        whole = frame_HWC + (ink - frame_HWC.astype(np.float32)) * (ink_HW1 * rng.uniform(0.7, 1.0))
        hull = cv2.convexHull(np.argwhere(ink_HW1[..., 0] > 0.5)[:, ::-1].astype(np.int32))
        near_HW = cv2.fillConvexPoly(np.zeros((height, width), np.uint8), hull, 1) > 0
        signs_lab = lab(whole[(ink_HW1[..., 0] > 0.9)].mean(axis=0))
        if np.percentile(np.linalg.norm(lab(frame_HWC[near_HW]) - signs_lab, axis=1), 10) < INK:
            return None
    else:
        if kind == "plain":
            ink, plate = np.array(CYAN), np.zeros(3)
        elif kind == "inverted":
            ink, plate = rng.integers(0, 70, 3), rng.integers(170, 256, 3)
        if np.linalg.norm(lab(ink) - lab(plate)) < PLATE:
            return None
        whole = frame_HWC + (plate - frame_HWC.astype(np.float32)) * plate_HW1
        whole = whole + (ink - whole) * ink_HW1
    return coded(np.clip(whole, 0, 255).astype(np.uint8))


def coded(frame_HWC: np.ndarray) -> np.ndarray:
    """A frame through the proxies' JPEG."""
    done, data = cv2.imencode(".jpg", frame_HWC[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def sampled(path: Path, most: int) -> np.ndarray:
    """Frames of a clip on the proxies' grid, (T, H, W, 3): 2 a second with the first, at most `most` spread over it."""
    frames, due, last = [], 0.0, None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if float(frame.time or 0.0) + 1e-6 >= due or last is None:
                due, last = float(frame.time or 0.0) + 0.5, frame
                scale = min(1.0, 256 / min(frame.width, frame.height))
                size = round(frame.width * scale), round(frame.height * scale)
                frames.append(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA))
    if most and len(frames) > most:
        frames = [frames[k] for k in np.linspace(0, len(frames) - 1, most).round().astype(int)]
    return np.stack(frames)


def bounds(hits: int, of: int) -> list[float]:
    """The 95 % interval of a share (Clopper-Pearson)."""
    low = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    return [round(low, 4), round(high, 4)]


def share(hits: Sequence[bool]) -> dict[str, object]:
    """How many of how many, and the interval."""
    count = sum(hits)
    return {"recall": round(count / max(1, len(hits)), 4), "of": len(hits), "interval": bounds(count, len(hits))}
