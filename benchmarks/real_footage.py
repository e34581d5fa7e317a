"""The chain over a folder of real footage on both engines: is every source and every clip accounted for, and equally?

python -m benchmarks.real_footage [--data MANIFEST_OR_FOLDER] [--keep FOLDER] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.kill_resume import digest
from benchmarks.result import show

REPO = Path(__file__).parent.parent
SHARED = REPO.parent / "shared" / "data" / "manifest.jsonl"


def run(data: str, out: Path, engine: str, until: str) -> dict[str, Any]:
    """One run; its JSON."""
    command = [
        sys.executable, "-m", "curate.cli", "run", str(REPO / "pipelines" / "real_footage.yaml"), "--json",
        "--until", until,
        "--set", f"sources.0.path={data}", "--set", f"output={out}", "--set", f"engine.kind={engine}",
    ]  # fmt: skip
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    """Run `local` to the end and `ray` up to the dataset, and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(SHARED))
    parser.add_argument("--keep", type=Path, help="leave the runs here, to look at")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if not Path(args.data).exists():
        print(f"{args.data} does not exist: give footage with --data")
        return
    with tempfile.TemporaryDirectory(prefix="rushes-real-") as folder:
        root = args.keep or Path(folder)
        local = run(args.data, root / "local", "local", "report")
        run(args.data, root / "ray", "ray", "export")
        equal = digest(root / "local") == digest(root / "ray")
        ledger = pq.read_table(root / "local" / "ledger.parquet").to_pylist()
        candidates = sum(len(s["clips"] or []) for s in _splits(root / "local"))
    counts: dict[str, int] = {}
    for row in ledger:
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
    without_clips = sum(1 for row in ledger if row["clip_id"] is None)
    balanced = sum(counts.values()) == candidates + without_clips and "pending" not in counts
    for row in local["funnel"]:
        print(row)
    show(
        "real_footage", int(balanced and equal), "1: all accounted for, and both engines equal", "1", counts=counts,
        candidates=candidates, rows_without_clips=without_clips, engines_equal=equal,
        sources=len({row["url"] for row in ledger}),
    )  # fmt: skip


def _splits(out: Path) -> list[dict[str, Any]]:
    return [row for path in out.glob("stages/split-*/*.parquet") for row in pq.read_table(path).to_pylist()]


if __name__ == "__main__":
    main()
