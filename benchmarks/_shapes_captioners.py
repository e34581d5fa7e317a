"""Captioners of the shapes world, trained from nothing by `rushes captioner train`, and runs that use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from benchmarks.tiny_vlms import qwen3
from worlds.shapes import Shapes

REPOSITORY = Path(__file__).parent.parent
KIT = REPOSITORY.parent / "shared" / "kits" / "shapes"
FILES, SHOTS = 1000, 8  # of the world that is learned from
STEPS, BATCH, LR = {"short": 800, "dense": 1600}, 32, 4e-3  # a shape is one word of twenty in a dense caption
PROMPTS = {
    "short": "---\nkind: short\n---\nName what there is and where it goes.\n",
    "dense": "---\nkind: dense\n---\nDescribe all that is to be seen.\n",
}
# What a manifest calls the short and the dense caption of a file.
OURS = {"short": "original_caption", "dense": "captions_dense"}
KITS = {"short": "caption_short", "dense": "caption_dense", "noisy": "alt_text_noisy"}
_PLAIN = dict.fromkeys(("exact_duplicates", "near_duplicates", "letterboxed", "images", "blurred"), 0.0)


def call(*command: Any, folder: Path = REPOSITORY) -> str:
    """Run a command of one thread to its end; what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, *map(str, command)]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def our_world(folder: Path, seed: int, files: int) -> Path:
    """The manifest of a world of plain shots, several a file."""
    made = Shapes(files=files, size=(64, 64), shots_per_file=(SHOTS, SHOTS), static=0.11, damaged=0, **_PLAIN)
    return made.write(folder, seed)


def kit_world(folder: Path, seed: int, clips: int, kit: Path, *more: str) -> Path:
    """The manifest of a world of the evaluation kit, one shot a file."""
    if not (folder / "manifest.jsonl").exists():
        call("make_shapes.py", "--seed", seed, "--clips", clips, "--out", folder, *more, folder=kit)
    return folder / "manifest.jsonl"


def run(
    folder: Path, manifest: Path, caption: str, *stages: dict[str, Any], until: str = "caption", **more: Any
) -> pa.Table:
    """Run a world; the kept clips of its ledger. `caption`: the manifest's column that is the original caption."""
    spec = {
        "name": folder.name, "output": str(folder),
        "sources": [{
            "path": str(manifest), "source_class": "in_house",
            "columns": {"original_caption": caption, "source_class": None, "license": None},
        }],
        "stages": [{"split": {"detector": "adaptive", "min_s": 0.5, "max_s": 20}}, *stages], **more,
    }  # fmt: skip
    path = folder.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(spec))
    call("-m", "curate.cli", "run", path, "--until", until)
    table = pq.read_table(folder / "ledger.parquet")
    return table.filter(pc.equal(table["outcome"], "kept"))


def captioner(folder: Path, kind: str, seed: int = 1) -> tuple[Path, dict[str, Any]]:
    """A model of this kind of caption, trained on a world of its own, and what its training says."""
    folder.mkdir(parents=True, exist_ok=True)
    table = run(folder / "taught", our_world(folder / "world", seed, FILES), OURS[kind])
    rows = [
        {"clip": row["clip_id"], "kind": kind, "caption": row["caption.original"]}
        for row in table.select(["clip_id", "caption.original"]).to_pylist()
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / f"{kind}.parquet")
    texts = [row["caption"] for row in rows]
    prompt = prompts(folder)[kind]
    qwen3(folder / f"base-{kind}", [*texts, *PROMPTS.values()], spread=1.0)
    recipe = {
        "base": str(folder / f"base-{kind}"), "run": str(folder / "taught"), "data": str(folder / f"{kind}.parquet"),
        "kind": kind, "output": str(folder / kind), "prompt": prompt, "method": "full", "optimizer": "muon",
        "steps": STEPS[kind], "batch": BATCH, "lr": LR, "warmup": 0.08, "held_out": 0.02,
    }  # fmt: skip
    (folder / f"{kind}.yaml").write_text(yaml.safe_dump(recipe))
    if not (folder / kind / "training.json").exists():
        call("-m", "curate.cli", "captioner", "train", folder / f"{kind}.yaml")
    return folder / kind, json.loads((folder / kind / "training.json").read_text())


def prompts(folder: Path) -> dict[str, str]:
    """The files of what is asked, by kind."""
    for kind, text in PROMPTS.items():
        (folder / f"ask_{kind}.md").write_text(text)
    return {kind: str(folder / f"ask_{kind}.md") for kind in PROMPTS}


def captioning(folder: Path, kinds: Sequence[str]) -> dict[str, Any]:
    """The stage of a spec that describes clips with what was trained in `folder`."""
    model = {kind: str(folder / (kind if kind in kinds else kinds[0])) for kind in PROMPTS}
    return {
        "caption": {
            "with": "vlm", "model": model, "kinds": list(kinds), "prompts": prompts(folder), "max_new_tokens": 64,
            "batch": 32, "ask_again": 0,
        }
    }  # fmt: skip


def obeyed(
    folder: Path,
    manifest: Path,
    caption: str,
    stages: Sequence[dict[str, Any]],
    train: dict[str, Any],
    requests: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Run to the samples that are asked for: the lines of prompts.jsonl, each with its verdict."""
    asked = folder / "prompts.jsonl"
    asked.write_text("".join(json.dumps(line) + "\n" for line in requests))
    latents = {"codec": "dct", "channels": 32, "short_side": 32, "fps": 4.5, "max_frames": 9}
    encode = {"encode": {"latents": latents, "text": {"encoder": "hashed"}}}
    train = {
        "model": "dit-xs", "ema": 0.995, "threads": 1, "allow_unscreened": ["explicit", "violence", "hate"], **train,
    }  # fmt: skip
    run(
        folder / "run", manifest, caption, *stages, encode, {"export": {}}, until="sample", train=train,
        sample={"prompts": str(asked)},
    )  # fmt: skip
    samples = folder / "run" / "samples"
    lines = [json.loads(line) for line in (samples / "prompts.jsonl").read_text().splitlines()]
    return [{**line, **verdict(samples / line["path"], line["attributes"])} for line in lines]


def verdict(path: Path, wanted: dict[str, str]) -> dict[str, bool]:
    """What the kit's judge says of a sample."""
    sys.path.insert(0, str(KIT))
    try:
        from shapeworld.judge import judge_frames  # type: ignore[import-not-found]
        from shapeworld.videoio import read_frames  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    frames, fps = read_frames(path)
    found = judge_frames(frames, wanted, fps)
    return {"colour": bool(found.color), "direction": bool(found.direction), "obeyed": bool(found.color_direction)}
