"""The published claim in small (g): does a model follow its prompts better when it is trained on synthetic captions?

    python -m benchmarks.caption_claim --captioners DIR [--data DIR] [--json]

DALL-E 3 (section 3) trained equal models on the web's captions, on 95 % short and on 95 % descriptive synthetic ones.
Here the footage is a world of the evaluation kit with its noisy alternative texts (10 % junk; in the rest a word is
missing in 40 % and wrong in 15 %), the synthetic captions are written by the captioners that caption_shapes trains
(--captioners is its --data; they are trained there first if they are not), and the judge is the kit's. One model an arm
and seed, the same steps, clips and latents; every arm is asked the same prompts from the same noise. Arms, prompts and
steps were committed before the first run.

The figures: share of samples with the colour and the direction of the prompt; differences between arms are paired by
prompt, with a 95 % interval of a bootstrap over prompts and seeds. Without the kit it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _shapes_captioners as shapes
from benchmarks.result import show
from benchmarks.shapes_prompts import prompt_lines

ARMS: dict[str, dict[str, float]] = {
    "web": {"original": 1.0},
    "short": {"short": 0.95, "original": 0.05},
    "dense": {"dense": 0.95, "original": 0.05},
}
SEEDS, STEPS, CLIPS, WORLD = (0, 1, 2), 1000, 4000, 21
PROMPTS = 162  # every colour with every direction three times, shapes by turns
FORMS = ("short", "dense")  # each prompt is asked in the words of both
SIZES, SPEEDS, GROUNDS = ("small", "large"), {"slow": "slowly", "fast": "quickly"}, ("black", "gray", "slate", "brown")
DRAWS = 10_000


def requests() -> list[dict[str, Any]]:
    """The prompts: those of `shapes_prompts`, and the same with all that a dense caption says, by turns."""
    made = []
    for number, line in enumerate(prompt_lines(PROMPTS)):
        attributes, said = line["attributes"], line["prompt"].removeprefix("a ")
        pace = "" if attributes["direction"] == "static" else " " + list(SPEEDS.values())[number // 2 % 2]
        dense = (
            f"A {SIZES[number % 2]} {said}{pace}. The background is plain {GROUNDS[number % 4]}. The camera is still."
        )
        for form, text in zip(FORMS, (line["prompt"], dense), strict=True):
            made.append({"prompt": text, "attributes": attributes, "form": form, "seed": 1000 + number})
    return made


def one(folder: Path, manifest: Path, stage: dict[str, Any], arm: str, seed: int) -> list[dict[str, Any]]:
    """Train an arm with a seed and make its samples: the lines of prompts.jsonl, each with its verdict."""
    train = {"steps": STEPS, "seed": seed, "captions": ARMS[arm]}
    return shapes.obeyed(folder, manifest, shapes.KITS["noisy"], [stage], train, requests())


def compared(obeyed: dict[str, np.ndarray], one: str, other: str) -> dict[str, Any]:
    """Mean difference of two arms, (seeds, prompts) of 0 and 1 each, and its interval."""
    apart_SP = obeyed[one].astype(float) - obeyed[other]
    rng = np.random.default_rng(0)
    seeds, prompts = apart_SP.shape
    draws = [
        apart_SP[np.ix_(rng.integers(seeds, size=seeds), rng.integers(prompts, size=prompts))].mean()
        for _ in range(DRAWS)
    ]
    low, high = np.quantile(draws, (0.025, 0.975))
    return {
        "difference": round(float(apart_SP.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4),
        "by seed": apart_SP.mean(axis=1).round(4).tolist(),
    }  # fmt: skip


def measure(folder: Path, captioners: Path) -> dict[str, Any]:
    """Every arm with every seed; shares by arm and form, and what lies between the arms."""
    for kind in FORMS:
        shapes.captioner(captioners, kind)
    manifest = shapes.kit_world(folder / "world", WORLD, CLIPS, shapes.KIT)
    stage = shapes.captioning(captioners, FORMS)
    lines: list[dict[str, Any]] = []
    for seed in SEEDS:
        for arm in ARMS:
            done = folder / f"{arm}-{seed}.json"
            if not done.exists():
                done.write_text(json.dumps(one(folder, manifest, stage, arm, seed)))
            lines += [{**line, "arm": arm, "of": seed} for line in json.loads(done.read_text())]
    return {form: of_form([line for line in lines if line["form"] == form]) for form in FORMS}


def of_form(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares of each arm, and paired differences, for prompts of one form."""
    by_arm = {
        arm: [[line for line in lines if (line["arm"], line["of"]) == (arm, seed)] for seed in SEEDS] for arm in ARMS
    }
    return summary(by_arm, (("short", "web"), ("dense", "web"), ("dense", "short")))


def summary(by_arm: dict[str, list[list[dict[str, Any]]]], pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Shares of each arm, whose lines are by seed, and paired differences."""

    def table(arm: str, name: str) -> np.ndarray:
        return np.array([[line[name] for line in of_seed] for of_seed in by_arm[arm]])

    arms = {
        arm: {name: round(float(table(arm, name).mean()), 4) for name in ("obeyed", "colour", "direction")}
        for arm in by_arm
    }
    obeyed = {arm: table(arm, "obeyed") for arm in by_arm}
    return {"arms": arms, **{f"{one} - {other}": compared(obeyed, one, other) for one, other in pairs}}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captioners", type=Path, help="--data of benchmarks.caption_shapes")
    parser.add_argument("--data", type=Path, help="keep worlds and samples here (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    unit, yardstick = "share of prompts obeyed: dense arm, dense prompts, minus web arm", "either outcome"
    if not (shapes.KIT / "judge.py").is_file():
        show("caption_claim", None, unit, yardstick)
        return
    with tempfile.TemporaryDirectory(prefix="rushes-claim-") as scratch:
        folder = (args.data or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(folder, (args.captioners or folder / "captioners").resolve())
    show("caption_claim", result["dense"]["dense - web"]["difference"], unit, yardstick, seeds=SEEDS, steps=STEPS,
         prompts=PROMPTS, forms=result)  # fmt: skip


if __name__ == "__main__":
    main()
