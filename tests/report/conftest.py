"""A run with something of everything: kept, static, short, broken, missing, copied and hostile footage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curate import snapshots
from curate.media.writer import write_image, write_mp4
from curate.run import Run
from curate.spec_file import parse
from tests.conftest import scene, write_clip

SCRIPT = "<script>alert('caption')</script>"
IMAGE = "<img src=x onerror=alert(1)>"
BOLD = 'two <b onclick="x">&.mp4'


def stages(**keep: Any) -> list[dict[str, Any]]:
    return [
        {"split": {"min_s": 0.5, "max_s": 10}},
        {"score": ["motion", "sharpness", "gist"]},
        {"keep": {"motion": {"min": 0.01}, **keep}},
        {"screen": {"explicit": [], "violence": [], "hate": []}},
        {"dedup": {"exact": {}}},
    ]


@pytest.fixture(scope="session")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Footage and its manifest."""
    folder = tmp_path_factory.mktemp("report-footage")
    write_clip(folder / "one.mp4", (1,))
    write_clip(folder / BOLD, (2, 3))
    write_clip(folder / "static.mp4", (4,), moving=False)
    write_clip(folder / "short.mp4", (5,), frames=2)
    shutil.copy(folder / "one.mp4", folder / "copy.mp4")
    write_mp4(folder / "again.mp4", scene(1), 8.0, metadata={"same": "pictures, other bytes"})
    write_image(folder / "still.png", scene(8, frames=1)[0])
    (folder / "broken.mp4").write_bytes((folder / "one.mp4").read_bytes()[:200])
    names = [path.name for path in sorted(folder.iterdir())]
    texts = [SCRIPT if name == "one.mp4" else f"a caption of {name}" for name in names]
    rows = [{"path": name, "original_caption": text} for name, text in zip(names, texts, strict=True)]
    rows.append({"path": f"{IMAGE}.mp4"})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def measured(taken: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run up to deduplication; copy it before writing into it."""
    out = tmp_path_factory.mktemp("report-run") / "out"
    Run(_spec(taken, out)).go("dedup")
    return out


def _spec(taken: Path, out: Path, **changes: Any) -> Any:
    sources = [{"path": str(taken / "manifest.jsonl")}]
    raw = {"name": "everything", "sources": sources, "output": str(out), "stages": stages(), "engine": {"workers": 2}}
    return parse({**raw, **changes})


@pytest.fixture
def job(taken: Path, measured: Path, tmp_path: Path) -> Callable[..., Run]:
    """Open a private copy of the run, with changes to its spec."""
    out = tmp_path / "out"
    shutil.copytree(measured, out)

    def opened(**changes: Any) -> Run:
        run = Run(_spec(taken, out, **changes))
        run.claim()
        return run

    return opened


def trained(out: Path, steps: int = 60, evaluations: bool = True) -> Path:
    """Lay down what a finished training run leaves."""
    folder = out / "train" / "0123456789abcdef"
    folder.mkdir(parents=True)
    losses = 0.4 + np.exp(-np.arange(steps) / 10.0)
    log = [
        {"step": i + 1, "loss": float(v), "lr": 1e-3 * min(1, i / 5), "grad_norm": 1.0, "tokens": 100, "seconds": 0.5}
        for i, v in enumerate(losses)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    if evaluations:
        floors = {"predict_zero": 2.01, "channel_floor": 0.61, "linear_floor": 0.37}
        part = {"loss": 0.5, **floors, "clips": 3}
        known = {"loss": 2.5, "predict_zero": 1.9, "channel_floor": 0.6, "clips": 2}
        splits = {"tier": {"32": part, "720": part}, "task": {"i2v": known, "t2v": part}}
        row = {"step": steps, **part, "curve": [0.5], "forwards": 30, "splits": splits}
        (folder / "eval.jsonl").write_text(json.dumps(row) + "\n")
    snapshots.finish(out, "train", folder.name)
    return folder


def sampled(out: Path, count: int, prompt: str = "a red circle moving left") -> Path:
    """Lay down what a finished sampling run leaves."""
    folder = out / "samples"
    folder.mkdir(exist_ok=True)
    lines = []
    for place in range(count):
        name = f"{place:03d}.mp4"
        write_mp4(folder / name, scene(place, frames=3, size=(32, 48)), 8.0)
        size = {"width": 48, "height": 32, "num_frames": 3, "fps": 8.0}
        lines.append({"path": name, "prompt": prompt, "task": "t2v", "seed": place, **size})
    (folder / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    snapshots.finish(out, "sample", f"{count:016d}")
    return folder
