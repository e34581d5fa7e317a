"""The words of the shapes world, what they look like, and the sentences made of them.

Colours are RGB 0..255; directions are unit vectors on the screen (x right, y down); speeds are short sides of the
picture per second; radii are shares of the short side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

COLOURS = {
    "red": (225, 40, 40),
    "green": (40, 185, 60),
    "blue": (45, 80, 235),
    "yellow": (240, 220, 40),
    "white": (245, 245, 245),
    "magenta": (220, 50, 205),
}
# Dark and nearly gray, so that no background is taken for a shape; every two differ by enough to see a cut.
BACKGROUNDS = {"black": (14, 14, 16), "gray": (88, 88, 88), "slate": (50, 58, 70), "brown": (66, 56, 46)}

STILL = "static"
_SLANT = math.sqrt(0.5)
_RISES = {"": 0.0, "up": -1.0, "down": 1.0}
_RUNS = {"": 0.0, "left": -1.0, "right": 1.0}
DIRECTIONS = {
    "-".join(filter(None, (rise, run))) or STILL: (x * (_SLANT if y else 1.0), y * (_SLANT if x else 1.0))
    for (rise, y), (run, x) in product(_RISES.items(), _RUNS.items())
}
MOVING = tuple(name for name in DIRECTIONS if name != STILL)

SPEEDS = {"slow": 0.12, "fast": 0.27}
ADVERBS = {"slow": "slowly", "fast": "quickly"}
RADII = {"small": 0.12, "large": 0.17}


def _ring(angles_deg: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    """Points (n, 2) round the origin at these angles; -90 degrees is straight up."""
    angle = np.deg2rad(angles_deg)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1) * np.reshape(radii, (-1, 1))


# Outlines (n, 2) for radius 1, scaled to look about equally large: a pointed shape must reach further out.
OUTLINES = {
    "circle": _ring(np.arange(0.0, 360.0, 7.5), 1.0),
    "square": _ring(np.array([45.0, 135.0, 225.0, 315.0]), 0.88 * math.sqrt(2.0)),
    "triangle": _ring(np.array([-90.0, 30.0, 150.0]), 1.28),
    "star": _ring(np.arange(-90.0, 270.0, 36.0), np.tile([1.3, 0.52], 5)),
}
REACH = max(float(np.abs(outline).max()) for outline in OUTLINES.values())


@dataclass(frozen=True)
class Look:
    """What a shot shows, in words; `direction` is "" for an image, where nothing can move."""

    color: str
    shape: str
    direction: str = ""
    speed: str = ""
    size: str = ""
    background: str = ""

    def short(self) -> str:
        """Say colour, shape and motion: `a red circle moving up and left`."""
        return " ".join(filter(None, ("a", self.color, self.shape, self._motion())))

    def dense(self) -> str:
        """Say all there is to see, in two or three sentences."""
        adverb = ADVERBS.get(self.speed, "") if self._motion().startswith("moving") else ""
        words = ("A", self.size, self.color, self.shape, self._motion(), adverb)
        sentences = [" ".join(filter(None, words)), f"The background is plain {self.background}"]
        sentences += ["The camera is still"] if self.direction else []
        return " ".join(sentence + "." for sentence in sentences)

    def attributes(self) -> dict[str, str]:
        """Every word that applies, by attribute."""
        return {name: word for name, word in vars(self).items() if word}

    def _motion(self) -> str:
        if self.direction in ("", STILL):
            return "standing still" if self.direction else ""
        return "moving " + self.direction.replace("-", " and ")


def looks(directions: tuple[str, ...]) -> Iterator[Look]:
    """Every colour, shape and direction once, in a fixed order."""
    for color, shape, direction in product(COLOURS, OUTLINES, directions):
        yield Look(color, shape, direction)
