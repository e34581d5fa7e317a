"""Do all engines give the digest of `local`? Embedded Ray, Ray with a worker killed, and a two-node cluster by a job.

python -m benchmarks.engines [--seed N] [--json]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from benchmarks.kill_resume import digest, spec
from benchmarks.ray_cluster import LoopbackCluster
from benchmarks.result import show
from worlds.shapes import Shapes

FILES = 40
RUSHES = (sys.executable, "-m", "curate.cli")


def write(root: Path, name: str, **engine: object) -> Path:
    """A spec of its own output folder, up to the dataset."""
    raw = spec(root / "footage" / "manifest.jsonl", root / name)
    raw["engine"] = {**raw["engine"], **engine}
    del raw["train"], raw["sample"]
    path = root / f"{name}.yaml"
    path.write_text(yaml.safe_dump(raw))
    return path


def run(*arguments: str | Path, env: dict[str, str] | None = None) -> None:
    """A verb that has to succeed."""
    done = subprocess.run([*RUSHES, *map(str, arguments)], capture_output=True, text=True, env=env, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{arguments} ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")


def run_with_a_worker_killed(path: Path, out: Path) -> int:
    """Start, wait for the first commit, kill one Ray worker of this run; how many were killed."""
    process = subprocess.Popen(
        [*RUSHES, "run", str(path), "--until", "export"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not (out / "manifest" / "0000000000.json").exists() and process.poll() is None:
        time.sleep(0.05)
    killed = 0
    for pid in _descendants(process.pid):
        if killed == 0 and b"MapBatches" in _command(pid):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    _, log = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the run with a killed worker ended with exit code {process.returncode}:\n{log}")
    return killed


def _descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it ended while we looked
            children.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        todo += (new := children.get(todo.pop(), []))
        found += new
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def main() -> None:
    """Run all engines on the same footage and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rushes-engines-") as folder:
        root = Path(folder)
        Shapes(files=FILES, size=(64, 64)).write(root / "footage", args.seed)
        run("run", write(root, "local"), "--until", "export")
        run("run", write(root, "embedded", kind="ray"), "--until", "export")
        killed = run_with_a_worker_killed(write(root, "killed", kind="ray"), root / "killed")
        with LoopbackCluster() as cluster:
            run("submit", write(root, "cluster"), "--until", "export", "--address", cluster.jobs, env=cluster.env)
        digests = {name: digest(root / name) for name in ("local", "embedded", "killed", "cluster")}
    for name, value in digests.items():
        print(f"{name:<10} {value}")
    equal = sum(value == digests["local"] for name, value in digests.items() if name != "local")
    show("engines", equal, "equal digests of 3", "local", seed=args.seed, workers_killed=killed, files=FILES)
    sys.exit(0 if equal == 3 and killed else 1)


if __name__ == "__main__":
    main()
