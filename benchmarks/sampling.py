"""Is a moment seen? White stretches of every length at every position of a clip, at constant and variable frame rates.

    python -m benchmarks.sampling [--seed N] --json

Real files through the real run, with a stand-in screen that measures brightness. A stretch of 0.5 s or more must be
found wherever it lies; of a shorter one of d seconds the share 1 - d / 0.5 is expected to be missed, as the receipt's
window says. Stretches that touch the clip's first or last frame are always seen and are left out of that share.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.gated import gated
from benchmarks.result import show

WINDOW_S = 0.5
SECONDS = 5.0
TICK = Fraction(1, 1200)
LENGTHS_S = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75)
POSITIONS = 80  # of each length and kind of rate
SCREEN = '''
"""Brightness of each frame."""
from curate.stage import Screen

class White(Screen):
    name = "white"

    def measure(self, frames_THWC, clip):
        return dict.fromkeys(self.categories, frames_THWC.mean(axis=(1, 2, 3)) / 255)
'''


def times(rng: np.random.Generator, variable: bool) -> list[int]:
    """Ticks at which frames begin, and at which the last one ends."""
    fps = int(rng.choice([12, 24, 30, 50]))
    count = int(SECONDS * fps)
    steps = np.full(count, 1200 // fps)
    if variable:
        steps = rng.choice([12, 24, 40, 50, 100, 200, 500, 700], count, p=[0.2, 0.2, 0.2, 0.15, 0.1, 0.08, 0.05, 0.02])
    edges = [0, *itertools.accumulate(int(step) for step in steps)]
    end = next((i for i, edge in enumerate(edges) if edge >= SECONDS * 1200), len(edges) - 1)
    return edges[: end + 1]


def write(path: Path, edges: list[int], white: tuple[int, int], rng: np.random.Generator) -> None:
    """A file whose frames `white[0] <= n < white[1]` are white, the others dark; no two files are equal."""
    ground = rng.integers(20, 60, (48, 64, 3)).astype(np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=50, options={"crf": "12", "bf": "0", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = TICK
        for n, edge in enumerate(edges[:-1]):
            frame = av.VideoFrame.from_ndarray(ground + np.uint8(190 if white[0] <= n < white[1] else 0), "rgb24")
            frame.pts, frame.time_base = edge, TICK
            frame.duration = edges[n + 1] - edge
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def stretch(edges: list[int], start_s: float, length_s: float) -> tuple[tuple[int, int], float] | None:
    """Frames from about this time on that are shown for about this long, and for how long in seconds."""
    start = min(range(1, len(edges) - 2), key=lambda i: abs(edges[i] / 1200 - start_s))
    least = length_s if length_s >= WINDOW_S else length_s - 0.02  # the promise begins at the window, not just below
    ends = [i for i in range(start + 1, len(edges) - 1) if least <= (edges[i] - edges[start]) / 1200 < length_s + 0.02]
    if not ends:
        return None
    return (start, ends[0]), (edges[ends[0]] - edges[start]) / 1200


def make(folder: Path, seed: int) -> dict[str, tuple[bool, float]]:
    """Files by name: whether the rate varies, and how long the stretch is."""
    rng = np.random.default_rng(seed)
    made: dict[str, tuple[bool, float]] = {}
    for variable, length_s in itertools.product((False, True), LENGTHS_S):
        found = 0
        while found < POSITIONS:
            edges = times(rng, variable)
            phase = (found + rng.random()) / POSITIONS  # every position between two looks, equally often
            place = stretch(edges, WINDOW_S * (int(rng.integers(1, 7)) + phase), length_s)
            if place is None:
                continue
            name = f"{'v' if variable else 'c'}-{round(1000 * length_s)}-{found}.mp4"
            write(folder / name, edges, place[0], rng)
            made[name] = (variable, place[1])
            found += 1
    return made


def found_in(folder: Path) -> dict[str, bool]:
    """Whether the run rejected each file for its white stretch."""
    spec = {
        "name": "sampling", "sources": [{"path": str(folder / "clips")}], "engine": {"workers": 2},
        "stages": [
            {"split": {"detector": "fixed", "min_s": 0}},
            {"screen": {"explicit": ["white"], "violence": [], "hate": []}},
        ],
    }  # fmt: skip
    rows = gated(folder / "run", spec, {"white": SCREEN}, level=0.6)
    unexpected = {row["reason"] for row in rows} - {"", "explicit:white"}
    if unexpected:
        raise SystemExit(f"unexpected outcomes: {unexpected}")
    return {row["url"].rsplit("/", 1)[1]: row["outcome"] == "rejected" for row in rows}


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rushes-sampling-") as scratch:
        folder = Path(scratch)
        (folder / "clips").mkdir()
        made = make(folder / "clips", args.seed)
        found = found_in(folder)
    table: list[dict[str, Any]] = []
    for variable, length_s in itertools.product((False, True), LENGTHS_S):
        group = [name for name in made if name.startswith(f"{'v' if variable else 'c'}-{round(1000 * length_s)}-")]
        missed = sum(not found[name] for name in group) / len(group)
        expected = float(np.mean([max(0.0, 1.0 - made[name][1] / WINDOW_S) for name in group]))
        table.append({"rate": "variable" if variable else "constant", "length_s": length_s, "files": len(group),
                      "missed": round(missed, 4), "expected": round(expected, 4)})  # fmt: skip
        print(table[-1], file=sys.stderr)
    long = [row for row in table if row["length_s"] >= WINDOW_S]
    short = [row for row in table if row["length_s"] < WINDOW_S]
    files = sum(row["files"] for row in short)
    apart = sum((row["missed"] - row["expected"]) * row["files"] for row in short) / files
    show("sampling", max(row["missed"] for row in long), "share missed of stretches of 0.5 s and more", "0",
         short_missed_minus_expected=round(apart, 4), rows=table)  # fmt: skip


if __name__ == "__main__":
    main()
