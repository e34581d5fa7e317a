"""SIGKILL a training at random moments, let it go on, and compare with a run that was never broken.

Alone: twenty kills, some as soon as a checkpoint is being written; losses and weights are to be the same bit for bit.
With ranks: one process begins, two go on and lose one of them four times (the other ends by itself), one finishes;
losses are to be the same within 1e-5. `drawn` in the log, a digest of a step's clips, captions, times and noise, tells
whether any sample came twice or not at all. Prints how many steps differ: python -m benchmarks.resume_training --json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import socket
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import _random_dataset
from curate.codecs import latent_codec

STEPS, CLIPS, KILLS, KILLS_OF_RANKS = 120, 32, 20, 4
_WRITING = 0.3  # the share of the kills that wait for a checkpoint to be written
_WITHIN = 1e-5
_DEADLINE_S = 300.0
# Children come from a process that has imported what they need, and nothing more: no seconds are lost on imports.
_SERVER = multiprocessing.get_context("forkserver")


def make_dataset(path: Path, seed: int) -> Path:
    """Write a dataset of random clips of two sizes: that they come back is what matters."""
    codec, rng, captions = latent_codec("dct"), np.random.default_rng(seed), ("one thing", "another thing")
    clips = []
    for number in range(CLIPS):
        side, frames = ((32, 9), (16, 5))[number % 2]
        latent = codec.encode(rng.uniform(-1, 1, (1, 3, frames, side, side)))[0]
        clips.append(_random_dataset.clip(number, latent, captions[number // 2 % 2]))
    return _random_dataset.write(path, [pa.Table.from_pylist(clips)], captions)


def child(arguments: list[str], place: dict[str, str]) -> None:
    """Be `python -m trainer.train` with these arguments, and this place among ranks."""
    from trainer.train import main as train

    os.environ.update(place)
    with open(os.devnull, "w") as nowhere:
        sys.stdout = sys.stderr = nowhere
        sys.exit(train(arguments))


@dataclass
class Run:
    """A training in a folder, its processes, and when they were killed."""

    dataset: Path
    out: Path
    seed: int
    chance: random.Random
    processes: list[BaseProcess] = field(default_factory=list)
    kills: list[dict[str, Any]] = field(default_factory=list)

    def start(self, world: int = 1) -> None:
        """Start a process a rank. An epoch has four steps: checkpoints are in the middle of one."""
        self.out.mkdir(parents=True, exist_ok=True)
        config = {
            "steps": STEPS, "batch": 8, "packs_per_step": 2, "seed": self.seed, "threads": 1, "checkpoint_every": 5,
            "precision": "fp32", "captions": {"short": 1.0}, "allow_unscreened": _random_dataset.UNSCREENED,
            "model": {"layers": 2, "heads": 4}, "peak_tflops": 1.0,
        }  # fmt: skip
        (self.out / "config.json").write_text(json.dumps(config))
        arguments = ["--dataset", str(self.dataset), "--out", str(self.out)]
        arguments += ["--config", str(self.out / "config.json")]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        ranks: list[dict[str, str]] = [{}]
        if world > 1:
            ranks = [{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world), "RANK": str(rank),
                      "LOCAL_RANK": str(rank)} for rank in range(world)]  # fmt: skip
        self.processes = [_SERVER.Process(target=child, args=(arguments, place), daemon=True) for place in ranks]
        for process in self.processes:
            process.start()

    def steps(self) -> int:
        """Return the number of whole lines of the log."""
        log = self.out / "log.jsonl"
        return log.read_bytes().count(b"\n") if log.is_file() else 0

    def being_written(self) -> bool:
        """Whether a checkpoint is begun and not whole."""
        return any((self.out / "checkpoints").glob(".step-*.tmp/*"))

    def kill(self, step: int, writing: bool) -> None:
        """Kill one of the processes, at some moment after the run's `step`; the others end by themselves.

        `writing`: the next time that a checkpoint is being written, or a few milliseconds later.
        """
        self._wait(lambda: self.steps() >= step, f"step {step}")
        if writing:
            self._wait(self.being_written, "a checkpoint")
        time.sleep(self.chance.uniform(0, 0.01 if writing else 0.1))
        victim = self.chance.choice(self.processes)
        if not all(process.is_alive() for process in self.processes):
            raise SystemExit("the run ended before it was killed")
        victim.kill()
        victim.join()
        begun, start = self.being_written(), time.monotonic()
        codes = [self._ended(process) for process in self.processes if process is not victim]
        self.kills.append({"step": self.steps(), "in_checkpoint": begun, "others_ended_with": codes,
                           "after_s": round(time.monotonic() - start, 2)})  # fmt: skip

    def finish(self) -> None:
        """Wait for a run to end well."""
        codes = [self._ended(process) for process in self.processes]
        if any(codes):
            raise SystemExit(f"the run in {self.out} ended with exit codes {codes}")

    def end(self) -> None:
        """End what is left of its processes."""
        for process in self.processes:
            process.kill()
            process.join()

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of the log."""
        return [json.loads(line) for line in (self.out / "log.jsonl").read_text().splitlines()]

    def weights(self) -> bytes:
        """Return the bytes of the model that was exported."""
        return (self.out / "model" / "diffusion_pytorch_model.safetensors").read_bytes()

    def _wait(self, there: Any, what: str) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not there():
            if not all(process.is_alive() for process in self.processes) or time.monotonic() > deadline:
                raise SystemExit(f"the run in {self.out} ended or hung before {what}")
            time.sleep(0.001)

    def _ended(self, process: BaseProcess) -> int | None:
        process.join(_DEADLINE_S)
        if process.exitcode is None:
            raise SystemExit(f"a process of {self.out} hangs")
        return process.exitcode


def alone(run: Run) -> None:
    """One process, killed again and again."""
    for place, step in enumerate(sorted(run.chance.sample(range(2, STEPS - 8), KILLS))):
        run.start()
        run.kill(step, writing=place % 10 < 10 * _WRITING)
    run.start()
    run.finish()


def ranks(run: Run) -> None:
    """One process begins, two go on and are killed again and again, one finishes."""
    steps = sorted(run.chance.sample(range(6, STEPS - 24), KILLS_OF_RANKS + 1))
    run.start()
    run.kill(steps[0], writing=False)
    for place, step in enumerate(steps[1:]):
        run.start(world=2)
        run.kill(step, writing=place % 2 == 1)
    run.start(world=2)
    run._wait(lambda: run.steps() >= STEPS - 12, "the last steps")
    run.processes[0].terminate()
    if {run._ended(process) for process in run.processes} != {143}:
        raise SystemExit("SIGTERM to one rank did not end both with a checkpoint")
    run.start()
    run.finish()


def compare(whole: Run, broken: Run, within: float) -> dict[str, Any]:
    """Return how a broken run's log differs from the whole one's."""
    pairs = list(zip(whole.records(), broken.records(), strict=False))
    differences = [abs(one["loss"] - two["loss"]) for one, two in pairs]
    return {
        "steps_as_they_were": [record["step"] for record in broken.records()] == list(range(1, STEPS + 1)),
        "draws_differ": sum(one["drawn"] != two["drawn"] for one, two in pairs),
        "losses_differ": sum(difference > within for difference in differences), "largest": max(differences),
        "kills": len(broken.kills), "kills_in_a_checkpoint": sum(kill["in_checkpoint"] for kill in broken.kills),
        "killed_at": [kill["step"] for kill in broken.kills],
    }  # fmt: skip


def measure(folder: Path, seed: int) -> dict[str, Any]:
    """Run all ways; return the result's JSON object."""
    dataset, begun = make_dataset(folder / "dataset", seed), time.monotonic()
    runs = {name: Run(dataset, folder / name, seed, random.Random(seed)) for name in ("whole", "alone", "ranks")}
    try:
        runs["whole"].start()
        runs["whole"].finish()
        alone(runs["alone"])
        ranks(runs["ranks"])
    finally:
        for run in runs.values():
            run.end()
    found = compare(runs["whole"], runs["alone"], 0.0)
    found["weights_equal"] = runs["whole"].weights() == runs["alone"].weights()
    shared = compare(runs["whole"], runs["ranks"], _WITHIN)
    # The first kill was of a process that was alone.
    shared["others_ended"] = [kill["others_ended_with"] for kill in runs["ranks"].kills[1:]]
    shared["after_s"] = max(kill["after_s"] for kill in runs["ranks"].kills)
    right = found["weights_equal"] and found["steps_as_they_were"] and shared["steps_as_they_were"]
    wrong = sum(arm[name] for arm in (found, shared) for name in ("draws_differ", "losses_differ"))
    return {
        "name": "resume_training", "value": wrong, "yardstick": 0, "right": right, "steps": STEPS, "seed": seed,
        "unit": "steps with other draws, or another loss (alone: in any bit; ranks: by more than 1e-5)",
        "alone": found, "ranks": shared, "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def main() -> int:
    """Run the command line; exit code 1 when anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--json", action="store_true", help="print nothing but the result")
    args = parser.parse_args()
    if not args.json:
        print(f"seed {args.seed}: {STEPS} steps, killed {KILLS} times; with ranks {KILLS_OF_RANKS + 1} times")
    os.environ["OMP_NUM_THREADS"] = "1"
    _SERVER.set_forkserver_preload(["trainer.train"])
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), args.seed)
    print(json.dumps(result))
    return 0 if result["value"] == 0 and result["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
