"""Signs that `benchmarks.symbols` plants, and decoys: harmless, abstract, drawn here or by the kit `shapes`.

Each is a picture of its ink, (SIDE, SIDE) float32 in [0, 1].
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

KIT = Path(__file__).parents[2] / "shared" / "kits" / "shapes"
SIDE = 240  # pixels of a drawing
Draw = Callable[[np.ndarray], object]  # upon (SIDE, SIDE) uint8


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


DRAWN: dict[str, Draw] = {
    "key": _key, "spiral": _spiral, "arrow": _arrow, "crest": _crest, "rune": _rune,
}  # fmt: skip


def drawn(draw: Draw) -> np.ndarray:
    """Ink of a drawing, (SIDE, SIDE) float32 in [0, 1]."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    draw(ink)
    return ink.astype(np.float32) / 255


def signs() -> dict[str, np.ndarray]:
    """Ink of every sign that has a reference."""
    found = {name: drawn(draw) for name, draw in DRAWN.items()}
    if KIT.is_dir():
        sys.path.insert(0, str(KIT))
        plants = importlib.import_module("shapeworld.plants")
        found |= {name: plants.draw_glyph(name, SIDE)[..., 2].astype(np.float32) / 225 for name in plants.GLYPHS}
    return found


def _line(*points: tuple[int, int], thick: int = 22) -> Draw:
    return lambda ink: cv2.polylines(ink, [np.array(points, np.int32)], False, 255, thick)


def _ring(x: int = 120, y: int = 120, radius: int = 95, thick: int = 22) -> Draw:
    return lambda ink: cv2.circle(ink, (x, y), radius, 255, thick)


def _frame(ink: np.ndarray) -> None:
    cv2.rectangle(ink, (16, 16), (224, 224), 255, 20)


def _zigzag(y: int) -> Draw:
    return _line((20, y + 25), (70, y - 25), (120, y + 25), (170, y - 25), (220, y + 25), thick=20)


def _dots(*at: tuple[int, int]) -> list[Draw]:
    return [_ring(x, y, 26, -1) for x, y in at]


BAR, POST = _line((70, 120), (170, 120)), _line((120, 70), (120, 170))
DECOYS: dict[str, Sequence[Draw]] = {
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
    return drawn(lambda ink: [draw(ink) for draw in DECOYS[name]])
