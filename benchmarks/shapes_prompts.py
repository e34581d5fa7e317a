"""Prompts obeyed: `pipelines/shapes.yaml` on a world and prompts of the shapes kit, read back by the kit's judge.

    python -m benchmarks.shapes_prompts --kit FOLDER_OF_THE_KIT [--data DIR] [--seeds 3] --json

Makes a world and prompts that name colour and direction (every combination of both, shapes by turns), trains and
samples with three seeds, and prints the mean share of clips in which colour and direction are both right. The kit is
not part of the repository; without it there is nothing to measure with, and the benchmark says so and ends with 0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
KIT = REPOSITORY.parent / "shared" / "kits" / "shapes"
CLIPS, PROMPTS = 5000, 162
COLOURS = ("red", "green", "blue", "yellow", "white", "magenta")
SHAPES = ("circle", "square", "triangle", "star")
DIRECTIONS = ("right", "left", "up", "down", "up-right", "up-left", "down-right", "down-left", "static")
YARDSTICK = "colour >= 0.97, colour and direction >= 0.65 (a prototype: 0.75), mean of 3 seeds, <= 600 core-seconds"


def prompt_lines(count: int) -> list[dict[str, Any]]:
    """Return prompts in the kit's words: every colour with every direction, over and over, shapes by turns."""
    lines = []
    pairs = itertools.cycle(itertools.product(COLOURS, DIRECTIONS))
    for number, (colour, direction) in zip(range(count), pairs, strict=False):
        shape = SHAPES[(number + number // len(SHAPES)) % len(SHAPES)]
        motion = "standing still" if direction == "static" else "moving " + " and ".join(direction.split("-"))
        attributes = {"color": colour, "shape": shape, "direction": direction}
        lines.append({"prompt": f"a {colour} {shape} {motion}", "attributes": attributes})
    return lines


def call(command: list[str], folder: Path) -> str:
    """Run a command to its end; return what it printed, or end with what it said."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def one_seed(seed: int, folder: Path, world: Path, kit: Path) -> dict[str, float]:
    """Run the pipeline with one seed of training; return the judge's accuracies and the core-seconds trained."""
    out = folder / "run"  # one folder: the latents are made once, each seed trains and samples anew
    settings = {
        "sources.0.path": world / "manifest.jsonl", "sample.prompts": folder / "prompts.jsonl",
        "output": out, "train.seed": seed, "sample.seed": 1000 * seed,
    }  # fmt: skip
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    spec = str(REPOSITORY / "pipelines" / "shapes.yaml")
    call([sys.executable, "-m", "curate.cli", "run", spec, *changes], REPOSITORY)
    samples = out / "samples"
    judge = [sys.executable, "judge.py", "--batch", str(samples), "--prompts", str(samples / "prompts.jsonl")]
    judged = call(judge, kit)
    log = out / "train" / json.loads((out / "snapshots.json").read_bytes())["train"] / "log.jsonl"
    seconds = sum(json.loads(line)["core_seconds"] for line in log.read_text().splitlines())
    return {**json.loads(judged.splitlines()[-1]), "core_seconds": round(seconds, 1)}


def measure(folder: Path, kit: Path, seeds: int, world_seed: int) -> dict[str, Any]:
    """Make the world, run every seed, and return the result's JSON object."""
    world = folder / f"world-{world_seed}"
    if not (world / "manifest.jsonl").is_file():
        make = [sys.executable, "make_shapes.py", "--seed", str(world_seed), "--clips", str(CLIPS), "--out", str(world)]
        call(make, kit)
    lines = "".join(json.dumps(line) + "\n" for line in prompt_lines(PROMPTS))
    (folder / "prompts.jsonl").write_text(lines, encoding="utf-8")
    runs = [one_seed(seed, folder, world, kit) for seed in range(seeds)]

    def mean(name: str) -> float:
        return round(sum(run[name] for run in runs) / len(runs), 4)

    return {
        "name": "shapes_prompts", "value": mean("color_direction"), "unit": "share of clips", "yardstick": YARDSTICK,
        "colour": mean("color"), "direction": mean("direction"), "shape": mean("shape"), "n": PROMPTS,
        "core_seconds": mean("core_seconds"), "runs": runs,
    }  # fmt: skip


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the world")
    parser.add_argument("--seeds", type=int, default=3, help="runs, trained with seeds 0, 1, ...")
    parser.add_argument("--data", type=Path, help="keep world and runs here (default: a temporary folder)")
    parser.add_argument("--kit", type=Path, default=KIT)
    parser.add_argument("--json", action="store_true", help="print nothing but the result")
    args = parser.parse_args()
    if not (args.kit / "judge.py").is_file():
        print(json.dumps({"name": "shapes_prompts", "value": None, "unit": "share of clips", "yardstick": YARDSTICK}))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.data or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(folder, args.kit.resolve(), args.seeds, args.seed)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
