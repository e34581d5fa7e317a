"""A captioner that learns from nothing (f): `rushes captioner train` trains a small Qwen3-VL on one shapes world, it
describes a fresh one in a run, and its captions are held against what that world is known to show.

    python -m benchmarks.caption_shapes [--seed 1] [--fresh 2 3] [--data DIR] [--kinds short dense] [--json]

It learns from a world of `worlds.shapes`; the fresh ones are other seeds of it and, where the evaluation kit is there,
as many worlds of the kit. The figure is the lowest share of right words of colour, shape and direction.
"""

from __future__ import annotations

import argparse
import re
import resource
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks import _shapes_captioners as shapes
from benchmarks.result import show
from worlds.shapes.vocabulary import COLOURS, OUTLINES

FRESH_FILES, FRESH_CLIPS = 60, 480


def said(text: str | None) -> dict[str, str]:
    """Colour, shape and direction that a caption's first sentence names; what it does not say is an empty word."""
    words = re.findall(r"[a-z]+", (text or "").lower().split(".")[0])
    found = {
        "colour": next((word for word in words if word in COLOURS), ""),
        "shape": next((word for word in words if word in OUTLINES), ""),
    }
    axes = (("up", "down"), ("left", "right"))
    moves = [word for axis in axes for word in words if word in axis][:2]
    return {**found, "direction": "-".join(moves) or ("still" if "still" in words else "")}


def accuracy(table: pa.Table, kind: str) -> dict[str, Any]:
    """Shares of clips whose caption says what the world's own does."""
    pairs = [
        (said(truth), said(written))
        for truth, written in zip(
            table["caption.original"].to_pylist(), table[f"caption.{kind}"].to_pylist(), strict=True
        )
    ]
    right = {name: sum(a[name] == b[name] for a, b in pairs) / len(pairs) for name in pairs[0][0]}
    return {**{name: round(share, 4) for name, share in right.items()}, "clips": len(pairs)}


def cpu_s() -> float:
    """CPU seconds of the children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(folder: Path, seed: int, fresh: list[int], kinds: list[str]) -> dict[str, Any]:
    """Train a model a kind, describe every fresh world, and compare."""
    trained = {}
    for kind in kinds:
        begun = cpu_s()
        _, record = shapes.captioner(folder, kind, seed)
        trained[kind] = {"held_out_loss": record["held_out_loss"], "cpu_s": round(cpu_s() - begun)}
    stage, found = shapes.captioning(folder, kinds), {}
    for other in fresh:
        manifests = {"worlds.shapes": (shapes.our_world(folder / f"fresh-{other}", other, FRESH_FILES), shapes.OURS)}
        if (shapes.KIT / "make_shapes.py").exists():
            made = shapes.kit_world(folder / f"kit-{other}", other, FRESH_CLIPS, shapes.KIT)
            manifests["kit"] = (made, shapes.KITS)
        for name, (manifest, columns) in manifests.items():
            table = shapes.run(folder / f"described-{name.split('.')[-1]}-{other}", manifest, columns["short"], stage)
            found[f"{name}, seed {other}"] = {kind: accuracy(table, kind) for kind in kinds}
    return {"trained": trained, "worlds": found}


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the world that is learned from")
    parser.add_argument("--fresh", type=int, nargs="+", default=[2], help="seeds of the worlds that are described")
    parser.add_argument("--kinds", nargs="+", default=["short", "dense"], choices=("short", "dense"))
    parser.add_argument("--data", type=Path, help="keep everything here (default: a temporary folder)")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rushes-captioner-") as scratch:
        result = measure((args.data or Path(scratch)).resolve(), args.seed, args.fresh, args.kinds)
    worlds = result["worlds"].values()
    lowest = min(of_kind[name] for world in worlds for of_kind in world.values() for name in of_kind if name != "clips")
    show("caption_shapes", lowest, "lowest share of right words", ">= 0.90", **result)


if __name__ == "__main__":
    main()
