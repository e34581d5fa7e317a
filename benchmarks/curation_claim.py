"""Is a model better for curation? The same training on a world, and on what the stages leave of it.

    python -m benchmarks.curation_claim --captioners DIR [--data DIR] [--json]

The footage is a world of the evaluation kit in which 30 % are changed copies (equal bytes would not even enter the raw
arm: a source is what it holds), 20 % of the rest stand still although their captions say that they move, and 30 % of
the captions are junk. Arms:

    raw       all of it, with the captions that came with it
    curated   what `motion` and `dedup` leave, described anew by the captioner that caption_shapes trains (--captioners
              is its --data; it is trained there first if it is not); 95 % of those captions, 5 % of the first ones
    filtered  what `motion` and `dedup` leave, with the captions that came with it

One model an arm and seed, the same steps and batch; every arm is asked the same prompts from the same noise, and the
judge is the kit's. `motion` cannot tell a shot that was stilled from one in which nothing should move, so no prompt
asks for stillness. Arms, world, prompts and steps were committed before the first run.

The figures: share of samples with the colour and the direction of the prompt; differences between arms are paired by
prompt, with a 95 % interval of a bootstrap over prompts and seeds. Without the kit it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import _shapes_captioners as shapes
from benchmarks.caption_claim import summary
from benchmarks.result import show
from benchmarks.shapes_prompts import COLOURS, DIRECTIONS, SHAPES, prompt_line

ORIGINAL, DESCRIBED = {"original": 1.0}, {"short": 0.95, "original": 0.05}
FILTERS: list[dict[str, Any]] = [
    {"score": ["motion", "gist"]},
    {"keep": {"motion": {"min": 0.002}}},
    {"dedup": {"exact": {}, "perceptual": {}}},
]
ARMS = ("raw", "curated", "filtered")
SEEDS, STEPS, CLIPS, WORLD = (0, 1, 2), 1000, 4000, 23
PLANTED = {"frozen": 0.2, "near-dups": 0.3, "alt-junk": 0.3, "alt-missing": 0, "alt-wrong": 0}
CAPTION = "caption_found"  # the short caption, or junk where the alternative text of the kit is junk
EACH = 3  # prompts of each colour and direction


def requests() -> list[dict[str, Any]]:
    """The prompts: every colour with every direction that is motion, shapes by turns."""
    pairs = list(itertools.product(COLOURS, [name for name in DIRECTIONS if name != "static"])) * EACH
    return [
        {
            **prompt_line(colour, SHAPES[(number + number // len(SHAPES)) % len(SHAPES)], direction),
            "seed": 1000 + number,
        }
        for number, (colour, direction) in enumerate(pairs)
    ]


def world(folder: Path) -> Path:
    """The manifest of the world, with the captions that came with it."""
    planted = [str(part) for name, value in PLANTED.items() for part in (f"--{name}", value)]
    manifest = shapes.kit_world(folder, WORLD, CLIPS, shapes.KIT, *planted)
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows:
        junk = set(row["alt_text_truth"].values()) == {"missing"}
        row[CAPTION] = row["alt_text_noisy"] if junk else row["caption_short"]
    found = folder / "found.jsonl"
    found.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return found


def one(folder: Path, manifest: Path, describing: dict[str, Any], arm: str, seed: int) -> list[dict[str, Any]]:
    """Train an arm with a seed and make its samples: the lines of prompts.jsonl, each with its verdict."""
    stages = {"raw": [], "curated": [*FILTERS, describing], "filtered": FILTERS}[arm]
    train = {"steps": STEPS, "seed": seed, "captions": DESCRIBED if arm == "curated" else ORIGINAL}
    return shapes.obeyed(folder, manifest, CAPTION, stages, train, requests())


def trained_on(folder: Path) -> int:
    """How many clips the last run trained on."""
    snapshot = json.loads((folder / "run" / "snapshots.json").read_bytes())["train"]
    return json.loads((folder / "run" / "train" / snapshot / "run.json").read_bytes())["clips"]


def measure(folder: Path, captioners: Path) -> dict[str, Any]:
    """Every arm with every seed; clips and shares by arm, and what lies between the arms."""
    shapes.captioner(captioners, "short")
    manifest, describing = world(folder / "world"), shapes.captioning(captioners, ["short"])
    by_arm: dict[str, list[list[dict[str, Any]]]] = {arm: [] for arm in ARMS}
    clips: dict[str, int] = {}
    for arm in ARMS:
        for seed in SEEDS:
            done = folder / f"{arm}-{seed}.json"
            if not done.exists():
                judged = one(folder, manifest, describing, arm, seed)
                done.write_text(json.dumps({"clips": trained_on(folder), "lines": judged}))
            found = json.loads(done.read_bytes())
            by_arm[arm].append(found["lines"])
            clips[arm] = found["clips"]
    pairs = (("curated", "raw"), ("filtered", "raw"), ("curated", "filtered"))
    return {"clips": clips, **summary(by_arm, pairs)}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--captioners", type=Path, help="--data of benchmarks.caption_shapes")
    parser.add_argument("--data", type=Path, help="keep the world and samples here (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    unit, yardstick = "share of prompts obeyed: curated minus raw", "either outcome"
    if not (shapes.KIT / "judge.py").is_file():
        show("curation_claim", None, unit, yardstick)
        return
    with tempfile.TemporaryDirectory(prefix="rushes-claim-") as scratch:
        folder = (args.data or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(folder, (args.captioners or folder / "captioners").resolve())
    show("curation_claim", result["curated - raw"]["difference"], unit, yardstick, seeds=SEEDS, steps=STEPS,
         prompts=len(requests()), **result)  # fmt: skip


if __name__ == "__main__":
    main()
