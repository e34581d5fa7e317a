"""Thousands of clips through one reader: do memory and open files stay where they were?

    python -m benchmarks.pool [--clips 3000] [--data FOLDER_OF_CLIPS] --json

The clips are the first second of each file of the folder, over and over. Counted are this process and its worker.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks.result import show
from curate.media.facts import Job
from curate.media.reader import Reader
from curate.stage import PROXY, Frames

SHARED = Path(__file__).parents[2] / "shared" / "data" / "clips"


def resident(process: int | str) -> int:
    """Bytes of memory that a process holds."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def state(reader: Reader) -> dict[str, int]:
    """Memory and descriptors of this process and of the worker."""
    (sandbox,) = reader._idle
    assert sandbox._worker is not None
    worker = sandbox._worker._process.pid
    return {
        "bytes": resident("self") + resident(worker),
        "descriptors": len(os.listdir("/proc/self/fd")) + len(os.listdir(f"/proc/{worker}/fd")),
        "threads": len(os.listdir("/proc/self/task")) + len(os.listdir(f"/proc/{worker}/task")),
        "workers_started": sandbox.started,
    }


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not args.data.is_dir():
        print(f"skipped: {args.data} is not there; name a folder of clips with --data")
        return
    paths = sorted(args.data.glob("*.mp4"))
    job = Job(views=(Frames(0, 27), PROXY), digest=True, most=25)
    reader = Reader()
    states: dict[int, dict[str, Any]] = {}
    for number in range(1, args.clips + 1):
        url = str(paths[number % len(paths)])
        reader.probe(url)
        for _ in reader.frames(url, job):
            pass
        if number % 200 == 0 or number == args.clips:
            states[number] = state(reader)
    reader.close()
    first, last = states[min(states)], states[max(states)]
    worst = max(s["bytes"] for s in states.values()) / first["bytes"]
    steady = len({s["descriptors"] for s in states.values()}) == 1
    show(
        "pool", round(last["bytes"] / first["bytes"], 3), "memory at the end / at clip 200", "<= 1.2",
        worst=round(worst, 3), descriptors_constant=steady, first=first, last=last, clips=args.clips,
    )  # fmt: skip


if __name__ == "__main__":
    main()
