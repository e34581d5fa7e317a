"""Scene boundaries found in footage whose boundaries are known, and what finding them costs.

    python -m benchmarks.shots --seed 1 --data FOLDER_OF_CLIPS --json

Makes 12 videos of about 12 minutes with the kit `shots` of the shared folder (real clips joined by known transitions,
with traps), runs every detector on them and lets the kit's own judge score the answers; beside them PySceneDetect's own
`detect()` on the same files, and `rushes try split` as a person runs it (`--tried`). CPU seconds are per minute of
footage, of one thread, decoding included. Takes about 20 core-minutes, most of them for TransNetV2 on every frame:
`--detectors` chooses. Without the shared folder there is nothing to measure with: the benchmark says so and ends with
exit code 0.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.yardsticks import InProcess, cpu_seconds, single_threaded
from curate.errors import SpecError
from curate.media.facts import Job
from curate.registry import resolve
from curate.stage import Frames

YARDSTICK = "F1 0.86 at 2.5 CPU s a minute (fast), 0.93 at 6 (cascade): the kit's prototypes on seeds 1 to 3"
DETECTORS = ("fast", "cascade", "transnetv2", "adaptive", "content", "histogram")
THEIRS = ("ContentDetector", "AdaptiveDetector")
BATCH = 64  # frames
_PR_SET_CHILD_SUBREAPER = 36
Answer = list[float | list[float]]


def frames_of(path: Path, request: Frames | None) -> Iterator[tuple[np.ndarray | None, list[float]]]:
    """Decode a file as the pass does: batches of views (T, H, W, C), none without a request, and their times_s."""
    stream = InProcess().frames(str(path), Job(views=(request,) if request is not None else ()))
    while batch := list(islice(stream, BATCH)):
        views = np.stack([frame.views[request] for frame in batch]) if request is not None else None
        yield views, [frame.time_s for frame in batch]


def decode_only(path: Path) -> Answer:
    """Decode and look at nothing."""
    for _ in frames_of(path, None):
        pass
    return []


def ours(name: str, path: Path) -> Answer:
    """The boundaries that one of our detectors finds, in seconds."""
    detector = resolve("detector", name)()
    found, times = [], []
    for views, batch_s in frames_of(path, detector.frames):
        found += detector.push(views, batch_s, len(times))
        times += batch_s
    found += detector.finish()
    times.append(times[-1])
    return [times[b.start] if b.start == b.end else [times[b.start], times[b.end]] for b in found]


def theirs(name: str, path: Path) -> Answer:
    """The cuts that PySceneDetect finds by itself with one of its detectors."""
    import scenedetect

    scenes = scenedetect.detect(str(path), getattr(scenedetect, name)())
    return [start.seconds for start, _ in scenes[1:]]


def judge(kit: Path, folder: Path, answers: dict[str, Answer]) -> dict[str, Any]:
    """Score the answers with the kit's judge."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "predictions.json"
        answer.write_text(json.dumps(answers), encoding="utf-8")
        command = [sys.executable, "-B", str(kit / "score_shots.py"), str(folder / "truth.json"), str(answer)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def find_all(paths: list[Path], find: Callable[[Path], Answer]) -> tuple[dict[str, Answer], float]:
    """The answers of one detector, and its CPU seconds in this process."""
    find(paths[0])  # imports and weights are not what is measured
    start = time.process_time()
    answers = {path.name: find(path) for path in paths}
    return answers, time.process_time() - start


def tried(paths: list[Path], name: str) -> tuple[dict[str, Answer], float]:
    """The answers of `rushes try split`, and all CPU seconds of its processes: start, sandbox and store included."""
    command = [sys.executable, "-m", "curate.cli", "try", "split", "--set", f"detector={name}", "--json"]
    # Processes that outlive their parent come to us, so that their seconds are counted too.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    start = cpu_seconds()
    done = subprocess.run([*command, *map(str, paths)], check=True, capture_output=True, text=True)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    spent = cpu_seconds() - start
    results = json.loads(done.stdout)["results"]
    return {
        path.name: [a if a == b else [a, b] for a, b in result["boundaries_s"]]
        for path, result in zip(paths, results, strict=True)
    }, spent


def scored(kit: Path, folder: Path, answers: dict[str, Answer], spent: float) -> dict[str, Any]:
    """What the judge says of the answers, and what they cost."""
    score = judge(kit, folder, answers)
    by_type = score["recall_by_type"]
    gradual = [value for kind, value in by_type.items() if kind != "cut"]
    count = sum(value["boundaries"] for value in gradual)
    return {
        "f1": score["f1"],
        "precision": score["precision"],
        "recall": score["recall"],
        "cut_recall": by_type["cut"]["recall"],
        "gradual_recall": round(sum(v["recall"] * v["boundaries"] for v in gradual) / count, 4) if count else None,
        "false_alarms_per_minute": score["false_alarms_per_minute"],
        "cpu_s_per_minute": round(spent / score["minutes"], 2),
    }


def main(argv: list[str] | None = None) -> int:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shots", description=__doc__.split("\n")[0])
    shared = Path(__file__).resolve().parents[2] / "shared"
    parser.add_argument("--shared", type=Path, default=shared, help="folder that holds kits/shots")
    parser.add_argument("--data", type=Path, help="folder of clips to make the set from (default: SHARED/data/clips)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", type=Path, help="folder of a set: used if it is there, else made and kept")
    parser.add_argument("--detectors", nargs="*", default=[*DETECTORS, *THEIRS], help="those to run")
    parser.add_argument("--tried", nargs="*", default=["fast", "cascade"], help="through the command line as well")
    parser.add_argument("--json", action="store_true", help="print the last line only")
    args = parser.parse_args(argv)
    kit = args.shared / "kits" / "shots"
    data = args.data or args.shared / "data" / "clips"
    data = data / "clips" if (data / "clips").is_dir() else data
    if not (kit / "make_shots.py").is_file() or not data.is_dir():
        print(f"skipped: the kit {kit} or the clips {data} are not there; name them with --shared and --data")
        return 0
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.set or Path(scratch) / "set"
        if not (folder / "truth.json").is_file():
            command = [sys.executable, "-B", str(kit / "make_shots.py"), "--clips", str(data), "--videos", "12"]
            command += ["--list", str(kit / "single_shot_clips.txt"), "--seed", str(args.seed), "--out", str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        finders: dict[str, Callable[[Path], Answer]] = {"decode": decode_only}
        for name in args.detectors:
            finders[name] = (
                (lambda path, n=name: theirs(n, path)) if name in THEIRS else (lambda path, n=name: ours(n, path))
            )
        paths = sorted(folder.glob("*.mp4"))
        for name in args.tried:
            found[f"try {name}"] = scored(kit, folder, *tried(paths, name))
        for name, find in finders.items():
            try:
                found[name] = scored(kit, folder, *find_all(paths, find))
            except SpecError as error:
                found[name] = {"skipped": str(error)}
            if not args.json:
                print(name, json.dumps(found[name]), flush=True)
    found["decode"] = {"cpu_s_per_minute": found["decode"]["cpu_s_per_minute"]}
    value = {"name": "shots.f1", "value": found.get("fast", {}).get("f1"), "unit": "F1 of fast over boundaries"}
    print(json.dumps({**value, "yardstick": YARDSTICK, "seed": args.seed, "detectors": found}))
    return 0


if __name__ == "__main__":
    single_threaded()
    sys.exit(main())
