"""Prompts obeyed: `pipelines/shapes.yaml` on a world and prompts of the shapes kit, read back by the kit's judge.

    python -m benchmarks.shapes_prompts --kit FOLDER_OF_THE_KIT [--data DIR] [--seeds 3] [--mixed] --json

With --mixed the world has three aspect ratios, two durations and images together, and 24 of its 216 combinations of
colour, shape and direction are held out of it; 256 prompts are of trained and 256 of held-out combinations, one seed.
Otherwise it makes a world and prompts that name colour and direction (every combination of both, shapes by turns),
trains and samples with three seeds, and prints the mean share of clips in which colour and direction are both right.
The kit is not part of the repository; without it there is nothing to measure with: it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks._shapes_captioners import verdict

REPOSITORY = Path(__file__).parent.parent
KIT = REPOSITORY.parent / "shared" / "kits" / "shapes"
CLIPS, PROMPTS = 5000, 162
MIXED = {"aspects": "16:9,9:16,1:1", "seconds": "1,2", "images": "0.1"}
MIXED_CLIPS, MIXED_PROMPTS, HELD_OUT = 6000, 256, 24
COLOURS = ("red", "green", "blue", "yellow", "white", "magenta")
SHAPES = ("circle", "square", "triangle", "star")
DIRECTIONS = ("right", "left", "up", "down", "up-right", "up-left", "down-right", "down-left", "static")
YARDSTICK = "colour >= 0.97, colour and direction >= 0.65 (a prototype: 0.75), mean of 3 seeds, <= 600 core-seconds"


def prompt_lines(count: int) -> list[dict[str, Any]]:
    """Return prompts in the kit's words: every colour with every direction, over and over, shapes by turns."""
    lines = []
    pairs = itertools.cycle(itertools.product(COLOURS, DIRECTIONS))
    for number, (colour, direction) in zip(range(count), pairs, strict=False):
        lines.append(prompt_line(colour, SHAPES[(number + number // len(SHAPES)) % len(SHAPES)], direction))
    return lines


def prompt_line(colour: str, shape: str, direction: str) -> dict[str, Any]:
    """Return a prompt, and what its clip must show."""
    motion = "standing still" if direction == "static" else "moving " + " and ".join(direction.split("-"))
    attributes = {"color": colour, "shape": shape, "direction": direction}
    return {"prompt": f"a {colour} {shape} {motion}", "attributes": attributes}


def call(command: list[str], folder: Path) -> str:
    """Run a command to its end; return what it printed, or end with what it said."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout


def one_seed(seed: int, folder: Path, world: Path, kit: Path) -> dict[str, float]:
    """Run the pipeline with one seed of training; return the judge's accuracies and the core-seconds trained."""
    out, seconds, _ = run_pipeline(seed, folder, world)
    samples = out / "samples"
    judge = [sys.executable, "judge.py", "--batch", str(samples), "--prompts", str(samples / "prompts.jsonl")]
    judged = call(judge, kit)
    return {**json.loads(judged.splitlines()[-1]), "core_seconds": round(seconds, 1)}


def run_pipeline(seed: int, folder: Path, world: Path, more: Sequence[str] = ()) -> tuple[Path, float, float]:
    """Run the pipeline on a world and the prompts of the folder, with `more` settings.

    Returns its output, the core-seconds of training, and those of the whole run.
    """
    out = folder / "run"  # one folder: the latents are made once, each seed trains and samples anew
    settings = {
        "sources.0.path": world / "manifest.jsonl", "sample.prompts": folder / "prompts.jsonl",
        "output": out, "train.seed": seed, "sample.seed": 1000 * seed,
    }  # fmt: skip
    changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    changes += [part for setting in more for part in ("--set", setting)]
    spec = str(REPOSITORY / "pipelines" / "shapes.yaml")
    before = os.times()
    call([sys.executable, "-m", "curate.cli", "run", spec, *changes], REPOSITORY)
    after = os.times()
    whole = after.children_user + after.children_system - before.children_user - before.children_system
    log = out / "train" / json.loads((out / "snapshots.json").read_bytes())["train"] / "log.jsonl"
    return out, sum(json.loads(line)["core_seconds"] for line in log.read_text().splitlines()), whole


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


def combinations(seed: int) -> dict[str, list[tuple[str, str, str]]]:
    """Combinations of colour, shape and direction in a drawn order, by whether they are held out."""
    found: list[tuple[str, str, str]] = list(itertools.product(COLOURS, SHAPES, DIRECTIONS))
    random.Random(seed).shuffle(found)
    return {"held out": found[:HELD_OUT], "trained": found[HELD_OUT:]}


def mixed(folder: Path, kit: Path, seed: int, more: Sequence[str]) -> dict[str, Any]:
    """Train on a world of many sizes, and judge prompts of trained and of held-out combinations."""
    groups = combinations(seed)
    world = folder / f"mixed-{seed}"
    if not (world / "manifest.jsonl").is_file():
        options = [part for name, value in MIXED.items() for part in (f"--{name}", value)]
        options += ["--holdout", ",".join(":".join(combination) for combination in groups["held out"])]
        make = [sys.executable, "make_shapes.py", "--seed", str(seed), "--clips", str(MIXED_CLIPS), "--out", str(world)]
        call([*make, *options], kit)
    lines = [
        {**prompt_line(*combination), "group": name}
        for name, group in groups.items() for combination in itertools.islice(itertools.cycle(group), MIXED_PROMPTS)
    ]  # fmt: skip
    (folder / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    out, seconds, whole = run_pipeline(seed, folder, world, more)
    rows = [json.loads(line) for line in (out / "samples" / "prompts.jsonl").read_text().splitlines()]
    shares: dict[str, dict[str, float]] = {}
    for name in groups:
        judged = [verdict(out / "samples" / row["path"], row["attributes"]) for row in rows if row["group"] == name]
        means = {key: sum(found[key] for found in judged) / len(judged) for key in judged[0]}
        margin = 1.96 * (means["obeyed"] * (1 - means["obeyed"]) / len(judged)) ** 0.5
        shares[name] = {
            **{key: round(mean, 4) for key, mean in means.items()},
            "n": len(judged),
            "+-": round(margin, 4),
        }
    return {
        "name": "shapes_prompts", "value": shares["held out"]["obeyed"], "unit": "share of held-out prompts obeyed",
        "yardstick": "trained >= 0.80, held out within 0.10 of it, <= 1800 core-seconds; aim 0.90 and 0.05",
        "groups": shares, "core_seconds": round(seconds, 1), "core_seconds_of_the_run": round(whole, 1),
    }  # fmt: skip


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the world")
    parser.add_argument("--seeds", type=int, default=3, help="runs, trained with seeds 0, 1, ...")
    parser.add_argument("--data", type=Path, help="keep world and runs here (default: a temporary folder)")
    parser.add_argument("--kit", type=Path, default=KIT)
    parser.add_argument("--mixed", action="store_true", help="many sizes, and combinations held out")
    parser.add_argument("--set", action="append", default=[], help="with --mixed: a setting, as of `rushes run`")
    parser.add_argument("--json", action="store_true", help="print nothing but the result")
    args = parser.parse_args()
    if not (args.kit / "judge.py").is_file():
        print(json.dumps({"name": "shapes_prompts", "value": None, "unit": "share of clips", "yardstick": YARDSTICK}))
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = (args.data or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        kit = args.kit.resolve()
        result = mixed(folder, kit, args.seed, args.set) if args.mixed else measure(folder, kit, args.seeds, args.seed)
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
