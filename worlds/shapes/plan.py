"""What each file of a shapes world holds, drawn from a seed before a pixel is painted.

Everything is a function of (options, seed, file number): files can be painted in any order, or again.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from worlds.shapes.draw import Shot, fits, place
from worlds.shapes.options import ShapesOptions
from worlds.shapes.symbols import SIGNS
from worlds.shapes.vocabulary import BACKGROUNDS, COLOURS, MOVING, OUTLINES, RADII, SPEEDS, STILL, Look

Kind = Literal["plain", "letterboxed", "image", "damaged", "exact", "near"]
NEAR_KINDS = ("reencode", "crop", "scale")
BAR = 0.125  # height of each bar as a share of the picture: 4:3 footage shown as 16:9


@dataclass(frozen=True)
class PlannedFile:
    """One file: its kind, its shots, which are out of focus or marked, and for a copy the file it is made from."""

    number: int
    kind: Kind
    shots: tuple[Shot, ...] = ()
    blurred: frozenset[int] = field(default_factory=frozenset)
    marked: dict[int, str] = field(default_factory=dict)  # shot -> the category whose stand-in it holds
    copy_of: int | None = None
    change: str = ""
    bar: int = 0  # pixels of black above and below the picture

    @property
    def path(self) -> str:
        """Place of the file within the world, in POSIX form."""
        return f"media/{self.number:06d}.{'png' if self.kind == 'image' else 'mp4'}"

    def spans_s(self) -> list[tuple[float, float]]:
        """Start and end of every shot in seconds."""
        edges = [0, *itertools.accumulate(shot.frames for shot in self.shots)]
        return [(a / self.shots[0].fps, b / self.shots[0].fps) for a, b in itertools.pairwise(edges)]


def plan(options: ShapesOptions, seed: int) -> list[PlannedFile]:
    """Plan every file, in order of their numbers."""
    kinds = _kinds(options, seed)
    counts = [_shot_count(options, seed, number, kind) for number, kind in enumerate(kinds)]
    moving_shots = [(n, i) for n, c in enumerate(counts) if kinds[n] != "image" for i in range(c)]
    still, blurred = (
        _share(moving_shots, share, np.random.default_rng([seed, stream]))
        for stream, share in ((1, options.static), (2, options.blurred))
    )
    marks = sorted(_share(moving_shots, options.marked, np.random.default_rng([seed, 5])))
    sign = {shot: tuple(SIGNS)[i % len(SIGNS)] for i, shot in enumerate(marks)}
    files: list[PlannedFile] = []
    originals = [n for n, kind in enumerate(kinds) if kind == "plain"]
    for number, kind in enumerate(kinds):
        rng = np.random.default_rng([seed, 3, number])
        if kind in ("exact", "near"):
            change = str(rng.choice(NEAR_KINDS)) if kind == "near" else ""
            files.append(PlannedFile(number, kind, copy_of=int(rng.choice(originals)), change=change))
            continue
        stand = [(number, i) in still for i in range(counts[number])]
        dim = frozenset(i for i in range(counts[number]) if (number, i) in blurred)
        bar = round(options.size[1] * BAR) if kind == "letterboxed" else 0
        marked = {i: sign[number, i] for i in range(counts[number]) if (number, i) in sign}
        files.append(PlannedFile(number, kind, _shots(rng, options, kind, bar, stand), dim, marked, bar=bar))
    by_number = {file.number: file for file in files}
    return [_inherit(file, by_number) for file in files]


def _inherit(file: PlannedFile, files: dict[int, PlannedFile]) -> PlannedFile:
    """Give a copy the shots of its original."""
    if file.copy_of is None:
        return file
    base = files[file.copy_of]
    return PlannedFile(file.number, file.kind, base.shots, base.blurred, base.marked, file.copy_of, file.change)


def _kinds(options: ShapesOptions, seed: int) -> list[Kind]:
    """Exact counts of each kind, shuffled; never more than leave one plain file."""
    counts: dict[Kind, int] = {
        "exact": round(options.exact_duplicates * options.files),
        "near": round(options.near_duplicates * options.files),
        "letterboxed": round(options.letterboxed * options.files),
        "image": round(options.images * options.files),
        "damaged": options.damaged,
    }
    planted = [kind for kind, count in counts.items() for _ in range(count)]
    planted = planted[: options.files - 1]  # the options see to it that this cuts nothing but a world of one file
    order = np.random.default_rng([seed, 0]).permutation(options.files)
    return [planted[i] if i < len(planted) else "plain" for i in order]


def _shot_count(options: ShapesOptions, seed: int, number: int, kind: Kind) -> int:
    """Shots of a file; copies have none of their own."""
    if kind in ("exact", "near"):
        return 0
    if kind == "image":
        return 1
    return int(np.random.default_rng([seed, 4, number]).integers(*options.shots_per_file, endpoint=True))


def _share(items: list[tuple[int, int]], share: float, rng: np.random.Generator) -> set[tuple[int, int]]:
    """A random subset of exactly this share."""
    chosen = rng.permutation(len(items))[: round(share * len(items))]
    return {items[i] for i in chosen}


def _shots(
    rng: np.random.Generator, options: ShapesOptions, kind: Kind, bar: int, still: list[bool]
) -> tuple[Shot, ...]:
    """The shots of one file; no two neighbours have the same background or the same colour, so every cut shows."""
    shots: list[Shot] = []
    width, height = options.size[0], options.size[1] - 2 * bar
    for stands in still:
        seconds = rng.uniform(*options.seconds)
        frames = 1 if kind == "image" else max(2, round(seconds * options.fps))
        before = shots[-1].look if shots else Look("", "")
        words = {
            "color": str(rng.choice([c for c in COLOURS if c != before.color])),
            "shape": str(rng.choice(list(OUTLINES))),
            "size": str(rng.choice(list(RADII))),
            "background": str(rng.choice([b for b in BACKGROUNDS if b != before.background])),
        }
        direction = "" if kind == "image" else STILL if stands else str(rng.choice(MOVING))
        speeds = tuple(SPEEDS) if direction in MOVING else ("",)
        choices = [Look(direction=direction, speed=speed, **words) for speed in speeds]
        possible = [look for look in choices if fits(look, width, height, frames, options.fps)]
        look = possible[int(rng.integers(len(possible)))]
        shots.append(place(rng, look, width, height, frames, options.fps))
    return tuple(shots)
