"""SIGKILL of the whole process group at moments spread over a run, then resume: is the digest that of an unbroken run?

python -m benchmarks.kill_resume [--seed N] [--kills 10] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.result import show
from worlds.shapes import Shapes

FILES = 60
STAGES = ("split", "encode", "text", "export", "train", "sample")


def spec(footage: Path, out: Path) -> dict[str, Any]:
    """Every stage of the chain, small enough to be killed ten times."""
    return {
        "name": "killed", "sources": [{"path": str(footage)}], "output": str(out),
        "stages": [
            {"split": {"detector": "adaptive", "min_s": 1.0, "max_s": 10}},
            {"score": ["motion", "sharpness", "exposure", "borders", "gist"]},
            {"keep": {"motion": {"min": 0.002}}},
            {"screen": {"explicit": [], "violence": [], "hate": []}},
            {"dedup": {"exact": {}, "perceptual": {}}},
            {"caption": {"with": "template"}},
            {"check": {}},
            {"encode": {"latents": {"codec": "dct", "channels": 32, "short_side": 32, "fps": 4, "max_frames": 5}}},
            {"export": {}},
        ],
        "engine": {"workers": 2, "shard_rows": 4},
        "train": {
            "steps": 40, "batch": 8, "captions": {"original": 1.0}, "checkpoint_every": 5, "threads": 1,
            "allow_unscreened": ["explicit", "violence", "hate"],
        },
        "sample": {"prompts": ["a red circle moving left"], "steps": 4, "threads": 1},
    }  # fmt: skip


def start(path: Path) -> subprocess.Popen[str]:
    """A run in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "curate.cli", "run", str(path), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def losses(out: Path) -> list[float]:
    """The training run's loss per step."""
    (log,) = out.glob("train/*/log.jsonl")
    return [json.loads(line)["loss"] for line in log.read_text().splitlines()]


def digest(out: Path) -> str:
    """`rushes verify --digest`."""
    command = [sys.executable, "-m", "curate.cli", "verify", str(out), "--digest"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


class Watch:
    """Follows a run's progress lines in a thread: when each stage began, in seconds from the start."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.begun: dict[str, float] = {"start": 0.0}
        self.ended = 0.0
        self._log: list[str] = []
        self._start = time.monotonic()
        self._process = process
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _follow(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._log.append(line)
            stage = line.partition(":")[0]
            if stage in STAGES and stage not in self.begun:
                self.begun[stage] = time.monotonic() - self._start
        self.ended = time.monotonic() - self._start

    @property
    def stage(self) -> str:
        """The stage that began last."""
        return list(self.begun)[-1]

    def wait_for(self, stage: str) -> None:
        """Wait until a stage begins."""
        while stage not in self.begun and self._process.poll() is None:
            time.sleep(0.005)

    def result(self) -> dict[str, Any]:
        """Wait for the end of a run that is to succeed; its JSON."""
        assert self._process.stdout is not None
        out = self._process.stdout.read()
        self._thread.join()
        if self._process.wait() != 0:
            raise SystemExit(f"a run ended with exit code {self._process.returncode}:\n{''.join(self._log)}")
        return json.loads(out)


def main() -> None:
    """Run, kill, resume, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rushes-kill-") as folder:
        root = Path(folder)
        Shapes(files=FILES, size=(64, 64)).write(root / "footage", args.seed)
        undisturbed, path = root / "undisturbed", root / "undisturbed.yaml"
        path.write_text(yaml.safe_dump(spec(root / "footage" / "manifest.jsonl", undisturbed)))
        watch = Watch(start(path))
        total = watch.result()
        want, want_losses = digest(undisturbed), losses(undisturbed)
        rng = random.Random(args.seed)
        rows = [_killed(root, *moment, want, want_losses) for moment in _moments(watch, args.kills, rng)]
    equal = sum(row["equal"] for row in rows)
    for row in rows:
        print(row)
    show(
        "kill_resume", equal, f"equal digests of {args.kills}", f"undisturbed run of {watch.ended:.0f} s",
        seed=args.seed,
        stages_hit=sorted({row["stage"] for row in rows}), losses_equal=sum(row["losses_equal"] for row in rows),
        most_parts_lost=max(row["parts_lost"] for row in rows), rows=total["computed"],
    )  # fmt: skip
    sys.exit(0 if equal == args.kills else 1)


def _moments(watch: Watch, kills: int, rng: random.Random) -> list[tuple[str, float]]:
    """(stage, seconds after it began): one in every stage, the others uniformly over the whole run."""
    edges = [*watch.begun.items(), ("end", watch.ended)]
    lengths = {stage: edges[i + 1][1] - begun for i, (stage, begun) in enumerate(edges[:-1])}
    moments = [(stage, rng.random() * lengths[stage]) for stage in STAGES if stage in lengths]
    while len(moments) < kills:
        at = rng.random() * watch.ended
        stage = max((s for s, begun in watch.begun.items() if begun <= at), key=watch.begun.__getitem__)
        moments.append((stage, at - watch.begun[stage]))
    return sorted(moments[:kills], key=lambda moment: watch.begun[moment[0]] + moment[1])


def _killed(root: Path, stage: str, after: float, want: str, want_losses: list[float]) -> dict[str, Any]:
    """One run that is killed once and resumed."""
    out, path = root / "killed", root / "killed.yaml"
    shutil.rmtree(out, ignore_errors=True)
    path.write_text(yaml.safe_dump(spec(root / "footage" / "manifest.jsonl", out)))
    process = start(path)
    watch = Watch(process)
    watch.wait_for(stage)
    time.sleep(after)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    hit, lost = watch.stage, {p.name for p in out.glob("stages/*/part-*")} - _committed(out)
    resumed = Watch(start(path)).result()
    return {
        "after_s": round(after, 1), "stage": hit, "equal": digest(out) == want,
        "losses_equal": losses(out) == want_losses, "computed": resumed["computed"], "parts_lost": len(lost),
    }  # fmt: skip


def _committed(out: Path) -> set[str]:
    names: set[str] = set()
    for manifest in out.glob("manifest/*.json"):
        names |= {Path(part["path"]).name for part in json.loads(manifest.read_bytes())["parts"]}
    return names


if __name__ == "__main__":
    main()
