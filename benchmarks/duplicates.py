"""Precision and recall of the duplicate search on clips whose duplicates are known.

    python -m benchmarks.duplicates --seed 1 --data FOLDER_OF_CLIPS --json

Makes a set of about 540 files with the kit `dups` of the shared folder (27 changes of each of 15 clips, and traps),
hashes and clusters them, and lets the kit's own judge score the result. Takes about 6 core-minutes, most of them for
making the set; `--set` keeps it for another time. Without the shared folder there is nothing to measure with: the
benchmark says so and ends with exit code 0.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.stage import Clip, measure_row
from filters.dedup.cluster import DedupParams, find_duplicates
from filters.dedup.perceptual import PerceptualParams, find_matches
from filters.dedup.phash import Phash
from filters.dedup.prints import read_prints

YARDSTICK = "F1 0.90 of pHash at 2 fps, aligned, mirrored, <= 14 of 64 bits, on the same kit with seed 1"
SUFFIXES = (".mp4", ".mkv")


def read_grid(path: Path, score: Phash) -> tuple[np.ndarray, Clip]:
    """Decode a file and sample it on the score's grid: (T, H, W, 3) uint8."""
    import av
    import cv2

    frames: list[np.ndarray] = []
    times: list[float] = []
    count, width, height, last = 0, 0, 0, 0.0
    with av.open(str(path)) as container:
        first: float | None = None
        for frame in container.decode(video=0):
            time_s = float(frame.time or 0.0)
            first = time_s if first is None else first
            count, width, height, last = count + 1, frame.width, frame.height, time_s - first
            if last + 1e-6 < len(frames) / score.frames.fps:
                continue
            scale = min(1.0, score.frames.short_side / min(width, height))
            size = round(width * scale), round(height * scale)
            frames.append(cv2.resize(frame.to_ndarray(format="rgb24"), size, interpolation=cv2.INTER_AREA))
            times.append(last)
    duration = last * count / max(1, count - 1)
    return np.stack(frames), Clip(path.name, width, height, count, duration, tuple(times))


def hash_files(folder: Path) -> pa.Table:
    """Hash every video of a folder, one row each, named by its file."""
    score = Phash()
    rows = []
    for path in sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES):
        frames, clip = read_grid(path, score)
        row = {f"{score.name}.{name}": value for name, value in measure_row(score, frames, clip).items()}
        row |= {"clip_id": path.name, "width": clip.width, "height": clip.height, "duration_s": clip.duration_s}
        rows.append(row | {"license": "unknown"})
    return pa.Table.from_pylist(rows)


def judge(kit: Path, folder: Path, prediction: dict[str, Any]) -> dict[str, Any]:
    """Score a prediction with the kit's judge."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "prediction.json"
        answer.write_text(json.dumps(prediction), encoding="utf-8")
        command = [sys.executable, "-B", str(kit / "score_dups.py"), str(folder / "truth.json"), str(answer), "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(kit: Path, folder: Path) -> dict[str, Any]:
    """Hash a made set, search it, and score the pairs and the clusters."""
    start = time.process_time()
    clips = hash_files(folder)
    hashed = time.process_time()
    params = PerceptualParams(mirror=True)
    names = clips["clip_id"].to_pylist()
    pairs = [[names[m.one], names[m.two]] for m in find_matches(read_prints(clips), params)]
    searched = time.process_time()
    rows = find_duplicates(clips, DedupParams(perceptual=params)).to_pylist()
    clusters: dict[str, list[str]] = {}
    for row in rows:
        clusters.setdefault(row["cluster_id"], [row["cluster_id"]]).append(row["clip_id"])
    by_pair = judge(kit, folder, {"pairs": pairs})
    by_cluster = judge(kit, folder, {"clusters": list(clusters.values())})
    return {
        "pairs": by_pair["pairs"],
        "clusters": by_cluster["pairs"],
        "recall_per_transform": by_pair["recall_per_transform"],
        "false_merges_per_kind": by_pair["false_merges_per_kind"],
        "groups_lost": by_cluster["groups_lost"],
        "files": len(names),
        "chained": sum(row["chained"] for row in rows),
        "decode_and_hash_s": round(hashed - start, 1),
        "search_s": round(searched - hashed, 1),
    }


def main(argv: list[str] | None = None) -> int:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.duplicates", description=__doc__.split("\n")[0])
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared, help="folder that holds kits/dups")
    parser.add_argument("--data", type=Path, help="folder of clips to make the set from (default: SHARED/data/clips)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", type=Path, help="folder of a set: used if it is there, else made and kept")
    parser.add_argument("--json", action="store_true", help="print the last line only")
    args = parser.parse_args(argv)
    kit = args.shared / "kits" / "dups"
    data = args.data or args.shared / "data" / "clips"
    data = data / "clips" if (data / "clips").is_dir() else data
    if not (kit / "make_dups.py").is_file() or not data.is_dir():
        print(f"skipped: the kit {kit} or the clips {data} are not there; name them with --shared and --data")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.set or Path(scratch) / "set"
        if not (folder / "truth.json").is_file():
            command = [sys.executable, "-B", str(kit / "make_dups.py"), "--clips", str(data), "--seed", str(args.seed)]
            command += ["--list", str(kit / "lists" / "dev.tsv"), "--out", str(folder), "--jobs", "1"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = measure(kit, folder)
    if not args.json:
        print(json.dumps(found, indent=1))
    value = {"name": "duplicates.f1", "value": round(found["pairs"]["f1"], 4), "unit": "F1 over pairs"}
    print(json.dumps({**value, "yardstick": YARDSTICK, "seed": args.seed, **found}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
