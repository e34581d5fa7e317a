"""What a person waits for before anything happens: `rushes --help`, and a run of which nothing has changed.

python -m benchmarks.startup [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.kill_resume import spec
from benchmarks.result import show
from worlds.shapes import Shapes

FILES, TRIES = 60, 5
RUSHES = (sys.executable, "-m", "curate.cli")


def cpu_seconds(*arguments: str) -> tuple[float, float, str]:
    """CPU and wall seconds of one call, and what it printed."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([*RUSHES, *arguments], check=True, capture_output=True, text=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - begun
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall, done.stdout


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.parse_args()
    helped = min(cpu_seconds("--help")[0] for _ in range(TRIES))
    with tempfile.TemporaryDirectory(prefix="rushes-startup-") as folder:
        root = Path(folder)
        Shapes(files=FILES, size=(64, 64)).write(root / "footage", 0)
        path = root / "spec.yaml"
        path.write_text(yaml.safe_dump(spec(root / "footage" / "manifest.jsonl", root / "out")))
        cpu_seconds("run", str(path))
        again = [cpu_seconds("run", str(path), "--json") for _ in range(TRIES)]
    computed = json.loads(again[0][2])["computed"]
    show(
        "startup", round(helped, 3), "CPU s of rushes --help", "0.5", rerun_cpu_s=round(min(a[0] for a in again), 3),
        rerun_wall_s=round(min(a[1] for a in again), 3), rerun_stage_calls=sum(computed.values()),
    )  # fmt: skip


if __name__ == "__main__":
    main()
