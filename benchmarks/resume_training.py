"""Kill the trainer with SIGKILL at a random step, let it go on, and compare with a run that was never broken.

Prints how many steps' losses differ in any bit (0 is the promise): python -m benchmarks.resume_training --json
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import _random_dataset
from curate.codecs import latent_codec

STEPS, CLIPS, KILLS = 120, 32, 3
_DEADLINE_S = 600.0


def make_dataset(path: Path, seed: int) -> Path:
    """Write a dataset of random clips of two sizes: that they come back is what matters."""
    codec, rng, captions = latent_codec("dct"), np.random.default_rng(seed), ("one thing", "another thing")
    clips = []
    for number in range(CLIPS):
        side, frames = ((32, 9), (16, 5))[number % 2]
        latent = codec.encode(rng.uniform(-1, 1, (1, 3, frames, side, side)))[0]
        clips.append(_random_dataset.clip(number, latent, captions[number // 2 % 2]))
    return _random_dataset.write(path, [pa.Table.from_pylist(clips)], captions)


def start(dataset: Path, out: Path, seed: int) -> subprocess.Popen[bytes]:
    """Start a training process of its own."""
    out.mkdir(parents=True, exist_ok=True)
    config = {
        "steps": STEPS, "batch": 8, "seed": seed, "threads": 1, "checkpoint_every": 10, "precision": "fp32",
        "captions": {"short": 1.0}, "allow_unscreened": _random_dataset.UNSCREENED, "model": {"layers": 2, "heads": 4},
    }  # fmt: skip
    (out / "config.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "trainer.train", "--dataset", str(dataset), "--out", str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command += ["--config", str(out / "config.json")]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)


def kill_at(process: subprocess.Popen[bytes], out: Path, step: int) -> None:
    """Kill the process without notice once its log holds `step` lines."""
    deadline = time.monotonic() + _DEADLINE_S
    log = out / "log.jsonl"
    while not (log.is_file() and log.read_bytes().count(b"\n") >= step):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the run ended or hung before step {step} (exit code {process.poll()})")
        time.sleep(0.002)
    process.kill()
    process.wait()


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run to end well."""
    if process.wait(timeout=_DEADLINE_S):
        raise SystemExit(f"the run ended with exit code {process.returncode}")


def losses(out: Path) -> list[tuple[int, str]]:
    """Return (step, loss in full precision) of every line of the log."""
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(record["step"], float(record["loss"]).hex()) for record in records]


def measure(folder: Path, seed: int) -> dict[str, object]:
    """Run both ways; return the result's JSON object."""
    dataset = make_dataset(folder / "dataset", seed)
    finish(start(dataset, folder / "whole", seed))
    steps = sorted(random.Random(seed).sample(range(2, STEPS - 1), KILLS))
    for step in steps:
        kill_at(start(dataset, folder / "killed", seed), folder / "killed", step)
    finish(start(dataset, folder / "killed", seed))
    whole, killed = losses(folder / "whole"), losses(folder / "killed")
    differing = sum(1 for a, b in zip(whole, killed, strict=False) if a != b) + abs(len(whole) - len(killed))
    models = [folder / run / "model" / "diffusion_pytorch_model.safetensors" for run in ("whole", "killed")]
    weights = [model.read_bytes() for model in models]
    return {
        "name": "resume_training", "value": differing, "unit": "steps whose loss differs in any bit", "yardstick": 0,
        "steps": len(whole), "killed_at": steps, "weights_equal": weights[0] == weights[1], "seed": seed,
    }  # fmt: skip


def main() -> int:
    """Run the command line; exit code 1 when anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", action="store_true", help="print nothing but the result")
    args = parser.parse_args()
    if not args.json:
        print(f"seed {args.seed}: {STEPS} steps, killed {KILLS} times")
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), args.seed)
    print(json.dumps(result))
    return 0 if result["value"] == 0 and result["weights_equal"] else 1


if __name__ == "__main__":
    sys.exit(main())
