"""Does a screen's fault cost its own clip alone? Every fault in every screen, each in a batch of sixteen clips.

    python -m benchmarks.fail_closed [--screen NAME ...] --json

Screens are the real ones, with tiny random models where they need a model; each is run twice over the same 224 clips:
as it is, and with a fault for one clip of every batch. The 13 faulty clips must not be kept and must have their own
reason; the 211 others must keep exactly the outcome of the undisturbed run.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.gated import REPO, gated
from benchmarks.result import show
from curate.media.writer import write_mp4
from curate.registry import resolve

BATCH = 16
# What a screen does to a marked clip, and the reason that must stand in the clip's row.
FAULTS = {
    "exception": ("raise RuntimeError('no model')", "score:error"),
    "out of memory": ("raise MemoryError", "limit:memory"),
    "time-out": ("raise TimeoutError('too long')", "timeout"),
    "hangs": ("import time; time.sleep(600)", "timeout"),
    "crash": ("import ctypes; ctypes.string_at(0)", "crash:signal:SIGSEGV"),
    "NaN": ("return {**good, CATEGORY: good[CATEGORY] * float('nan')}", "score:not_finite"),
    "infinity": ("return {**good, CATEGORY: good[CATEGORY] + float('inf')}", "score:not_finite"),
    "missing column": ("return {'other' if k == CATEGORY else k: v for k, v in good.items()}", "score:missing_column"),
    "wrong type": ("return {**good, CATEGORY: 'clean'}", "score:wrong_type"),
    "wrong shape": ("return {**good, CATEGORY: good[CATEGORY][:-1]}", "score:wrong_type"),
    "empty answer": ("return {}", "score:no_answer"),
    "unparsable answer": ("return 'the clip looks fine'", "score:no_answer"),
    "no frames": ("from curate.stage import measure_row; measure_row(self, frames_THWC[:0], clip)", "score:no_frames"),
}
FAULTY = '''
"""The screen {screen} with a fault for every marked clip."""
import numpy as np
from curate.stage import Clip
from filters.{module} import {kind} as Real

CATEGORY = "explicit"

class Faulty(Real):
    name = "faulty"

    def measure(self, frames_THWC, clip: Clip):
        good = super().measure(frames_THWC, clip)
        level = float(np.median(frames_THWC[0, :12, :12]))
        number = round((level - 20) / 16) if level > 12 and frames_THWC[0, :12, :12].std() < 6 else -1
        if "faulty" in {on!r}:
{acts}
        return good
'''


def write_clips(folder: Path) -> list[str]:
    """A batch of sixteen for every fault, and one more; a clip is marked for its fault by the grey of a corner."""
    rng = np.random.default_rng(0)
    marked = []
    for number in range(len(FAULTS) + 1):
        for place in range(BATCH):
            frames = np.empty((8, 64, 96, 3), np.uint8)
            ground = rng.integers(40, 200, (8, 12, 3)).astype(np.uint8)
            frames[:] = cv2.resize(ground, (96, 64), interpolation=cv2.INTER_CUBIC)
            for t, frame in enumerate(frames):
                frame[20:44, 20 + 3 * t : 44 + 3 * t] = rng.integers(0, 255, 3)
            frames[:, :16, :16] = rng.integers(0, 255, (16, 16, 3))
            if place == 7 and number < len(FAULTS):
                frames[:, :16, :16] = 20 + 16 * number
                marked.append(f"{number:02d}-{place:02d}.mp4")
            write_mp4(folder / f"{number:02d}-{place:02d}.mp4", frames, 8.0, crf=12)
    return marked


def tiny_models(folder: Path) -> dict[str, dict[str, Any]]:
    """Parameters of every screen that looks at frames; models are random and tiny, of the real architectures."""
    import open_clip
    import torch
    import transformers
    from safetensors.torch import save_file

    from filters.heads.artifact import Artifact, save
    from filters.heads.encoders import Gist
    from filters.heads.fit import fit

    torch.manual_seed(0)
    names = {0: "fine", 1: "bad"}
    config = transformers.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                                    image_size=32, patch_size=8, id2label=names)  # fmt: skip
    transformers.ViTForImageClassification(config).save_pretrained(folder / "vit")
    transformers.ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "vit")
    sizes = {
        "embed_dim": 32,
        "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    (folder / "clip").mkdir()
    (folder / "clip" / "open_clip_config.json").write_text(json.dumps({"model_cfg": sizes, "preprocess_cfg": {}}))
    state = {name: value.contiguous() for name, value in open_clip.CLIP(**sizes).state_dict().items()}
    save_file(state, folder / "clip" / "open_clip_model.safetensors")
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2 == 0
    fitted = fit(Gist().encode(rng.integers(0, 255, (40, 64, 64, 3)).astype(np.uint8)), labels, "linear")
    made_of = {"name": "gist", "params": {}, "fingerprint": Gist.fingerprint}
    facts = {"category": "explicit", "labels": "", "policy": "", "encoder": made_of, "calibration": {}, "audit": {}}
    save(folder / "head.safetensors", Artifact(fitted, {**facts, "promoted": True}, {}))
    return {
        "head": {"file": str(folder / "head.safetensors")},
        "nudenet": {}, "classifier": {"model": str(folder / "vit"), "labels": ["bad"]},
        "zero_shot": {"model": str(folder / "clip")},
        "symbols": {"references": str(REPO / "worlds" / "shapes" / "references" / "explicit")},
    }  # fmt: skip


def outcomes(folder: Path, screen: str, params: dict[str, Any], on: str) -> dict[str, str]:
    """Outcome and reason of every clip, by file name."""
    acts = "\n".join(
        f"            if number == {n}:\n                {act}" for n, (act, _) in enumerate(FAULTS.values())
    )
    source = FAULTY.format(screen=screen, module=screen, kind=resolve("screen", screen).__name__, acts=acts, on=on)
    spec = {
        "name": f"{screen}-{on}", "sources": [{"path": str(folder / "clips")}],
        "stages": [
            {"split": {"detector": "fixed", "min_s": 0.5}},
            {"screen": {"explicit": [{"faulty": params}], "violence": [], "hate": []}},
        ],
        "engine": {"workers": 2, "shard_rows": BATCH, "limits": {"stall_seconds": 8, "attempts": 1, "memory_gib": 8}},
    }  # fmt: skip
    rows = gated(folder / f"{screen}-{on}", spec, {"faulty": source})
    return {row["url"].rsplit("/", 1)[1]: f"{row['outcome']} {row['reason']}".strip() for row in rows}


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--screen", action="append")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    wrong: list[str] = []
    table: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="rushes-faults-") as scratch:
        folder = Path(scratch)
        (folder / "clips").mkdir()
        marked = write_clips(folder / "clips")
        screens = tiny_models(folder)
        for screen in args.screen or list(screens):
            calm = outcomes(folder, screen, screens[screen], "calm")
            found = outcomes(folder, screen, screens[screen], "faulty")
            bad = []
            for name, (_, reason) in zip(marked, FAULTS.values(), strict=True):
                if found[name] != f"quarantined explicit:no_verdict:{reason}":
                    bad.append(f"{screen} {name}: {found[name]}, not {reason}")
            bad += [
                f"{screen} {n}: {found[n]}, undisturbed {calm[n]}"
                for n in calm
                if n not in marked and found[n] != calm[n]
            ]
            kept = sum(outcome == "kept" for outcome in calm.values())
            table[screen] = {"clips": len(calm), "kept undisturbed": kept, "faults": len(marked), "wrong": len(bad)}
            print(f"{screen}: {table[screen]}", file=sys.stderr)
            wrong += bad
    for line in wrong:
        print(line, file=sys.stderr)
    show("fail_closed", len(wrong), "clips with another outcome than they must have", "0", screens=table, wrong=wrong)


if __name__ == "__main__":
    main()
