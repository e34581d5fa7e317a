"""Are bars found to two pixels of the source, and no bars where there are none?

    python -m benchmarks.borders [--seed N] [--count 120] [--data FOLDER_OF_CLIPS] [--shots FOLDER ...] --json

On the letterboxed clips of the kit `shapes`; on the letterboxed and the full videos of sets of the kit `shots` (which
`benchmarks.shots --set FOLDER` makes), some with a logo on a bar; and on real footage without bars: letterbox,
pillarbox, both, of random thickness at both ends, at 360p to 1080p, black or raised to level 16, some plain mats of
another colour, some after a fade from black, encoded by x264 at crf 18 to 30. A third of the videos have none, and some
of those are very dark. Lists every crop of the clips themselves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.result import show
from benchmarks.yardsticks import InProcess
from curate.media.facts import Job
from curate.media.writer import write_mp4
from curate.stage import PROXY, Clip, measure_row
from filters.borders import Borders

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"
KITS = SHARED.parents[1] / "kits"
CINEMA = 2.39  # aspect of the kit's letterboxed pictures
NEAR = 2.0  # pixels of the source
SIDES = ("left", "top", "right", "bottom")
SIZES = ((640, 360), (854, 480), (1280, 720), (1920, 1080), (606, 1080))


def found(path: Path, seconds: float | None = None) -> dict:
    """What the score says of a file, or of its first seconds."""
    frames = [f for f in InProcess().frames(str(path), Job(views=(PROXY,))) if PROXY in f.views]
    frames = [frame for frame in frames if seconds is None or frame.time_s < seconds]
    pixels = np.stack([frame.views[PROXY] for frame in frames])
    return measure_row(Borders(), pixels, Clip(path.name, 1, 1, len(frames), 1.0))


def footage(path: Path, width: int, height: int) -> list[np.ndarray]:
    """A dozen frames of a clip over two seconds, cut to cover the size."""
    frames = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 5 == 0:
                pixels = frame.to_ndarray(format="rgb24")
                scale = max(width / pixels.shape[1], height / pixels.shape[0])
                size = (max(width, round(pixels.shape[1] * scale)), max(height, round(pixels.shape[0] * scale)))
                frames.append(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC)[:height, :width])
            if len(frames) == 12:
                break
    return frames


def planted(frames: list[np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, list[int]]:
    """Frames with bars, and the box [left, top, right, bottom] in pixels."""
    height, width = frames[0].shape[:2]
    kind = str(rng.choice(["none", "letterbox", "pillarbox", "both", "mat"]))
    thick = [0, 0, 0, 0]
    for sides, size, kinds in (((1, 3), height, ("letterbox", "both", "mat")), ((0, 2), width, ("pillarbox", "both"))):
        if kind in kinds:
            share = rng.uniform(0.04, 0.18)
            for side in sides:
                thick[side] = max(4, round(size * share) + int(rng.integers(-3, 4)))
    level = int(rng.choice([0, 0, 16])) if kind != "mat" else int(rng.integers(60, 256))
    box = [thick[0], thick[1], width - thick[2], height - thick[3]]
    fades = rng.random() < 0.3
    dark = kind == "none" and rng.random() < 0.4
    made = []
    for number, frame in enumerate(frames):
        light = min(1.0, number / 4) if fades else 1.0
        inner = frame.astype(np.float32) * (0.08 if dark else light)
        whole = np.full(frame.shape, level, np.float32)
        whole[box[1] : box[3], box[0] : box[2]] = inner[box[1] : box[3], box[0] : box[2]]
        made.append(np.clip(whole + rng.normal(0, 1.0, whole.shape), 0, 255).astype(np.uint8))
    return np.stack(made), box


def off_by(row: dict, box: list[int], width: int, height: int) -> float:
    """Pixels by which the worst edge of a found box is off."""
    return max(
        abs(row[side] * size - b) for side, size, b in zip(SIDES, (width, height, width, height), box, strict=True)
    )


def shapes_kit(scratch: Path, seed: int) -> str:
    """How many of the kit's letterboxed clips are exact."""
    maker = [sys.executable, "make_shapes.py", "--seed", str(seed), "--clips", "80", "--letterbox", "1", "--out"]
    aspects = ["--aspects", "16:9,9:16,1:1", "--seconds", "2"]
    subprocess.run([*maker, str(scratch), *aspects], cwd=KITS / "shapes", check=True, stdout=subprocess.DEVNULL)
    rows = [json.loads(line) for line in (scratch / "manifest.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["kind"] == "video"]
    boxes = [row["plants"][0]["picture_box"] for row in rows]
    offs = [
        off_by(found(scratch / row["path"]), box, row["width"], row["height"])
        for row, box in zip(rows, boxes, strict=True)
    ]
    return f"{sum(off <= NEAR for off in offs)} of {len(offs)}"


def shots_kit(folders: list[Path]) -> str:
    """How many letterboxed and full videos of the sets are exact; a pillarboxed picture may end within its bars."""
    offs = []
    for folder in folders:
        for name, video in json.loads((folder / "truth.json").read_text())["videos"].items():
            width, height = video["width"], video["height"]
            inside = 2 * round(width / CINEMA / 2) if video["layout"] == "letterbox" else height
            box = [0, (height - inside) // 2, width, (height - inside) // 2 + inside]
            if video["layout"] != "pillarbox":
                offs.append(off_by(found(folder / name, 20.0), box, width, height))
    return f"{sum(off <= NEAR for off in offs)} of {len(offs)}"


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--shots", type=Path, nargs="*", default=[], help="sets of the kit `shots`")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: {args.data} is not there; name a folder of clips with --data")
        return
    cv2.setNumThreads(1)
    rng = np.random.default_rng(args.seed)
    crops, plain = {}, []
    for path in sorted(args.data.glob("*.mp4")):
        row = found(path, 10.0)
        if row["score"] > 0:
            crops[path.name] = [round(row[side], 4) for side in SIDES]
        elif path.stat().st_size < 3_000_000:
            plain.append(path)
    boxes = exact = clean = alarms = 0
    misses = []
    with tempfile.TemporaryDirectory(prefix="rushes-borders-") as scratch:
        shapes = shapes_kit(Path(scratch) / "shapes", args.seed) if KITS.is_dir() else "skipped: no kits"
        for number in range(args.count):
            width, height = SIZES[int(rng.integers(len(SIZES)))]
            frames, box = planted(footage(plain[int(rng.integers(len(plain)))], width, height), rng)
            path = Path(scratch) / "a.mp4"
            write_mp4(path, frames, 5.0, crf=int(rng.integers(18, 31)))
            row = found(path)
            got = [row[side] * size for side, size in zip(SIDES, (width, height, width, height), strict=True)]
            off = off_by(row, box, width, height)
            if box == [0, 0, width, height]:
                clean, alarms = clean + 1, alarms + (row["score"] > 0)
            else:
                boxes, exact = boxes + 1, exact + (off <= NEAR)
                if off > NEAR:
                    misses.append({"n": number, "size": [width, height], "box": box, "got": [round(g, 1) for g in got]})
    show(
        "borders", round(exact / max(1, boxes), 4), f"of {boxes} planted boxes exact to 2 px", ">= 0.98",
        shapes_kit=shapes, shots_kit=shots_kit(args.shots),
        false_alarms=f"{alarms} of {clean}", misses=misses[:10], crops_of_the_clips=crops, seed=args.seed,
    )  # fmt: skip


if __name__ == "__main__":
    main()
