"""Footage and specs that tests share. Everything is generated; nothing outside the repository is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import settings

from curate.media.writer import write_image, write_mp4

# Machines are shared and busy: no timing decides a test.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

REPO = Path(__file__).parent.parent
SHARED = REPO.parent / "shared"

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the evaluation material in ../shared")


def scene(seed: int, frames: int = 16, size: tuple[int, int] = (64, 96), moving: bool = True) -> np.ndarray:
    """One shot, (T, H, W, 3) uint8: a bright square on a textured background whose brightness depends on the seed."""
    rng = np.random.default_rng(seed)
    height, width = size
    base = rng.integers(20, 120, 3) if seed % 2 else rng.integers(120, 200, 3)
    texture = rng.normal(0, 12, (height // 4, width // 4, 1)).repeat(4, 0).repeat(4, 1)
    background = np.clip(base + texture, 0, 255)
    out = np.empty((frames, height, width, 3), np.uint8)
    colour = rng.permutation(256)[:3]
    start = rng.integers(0, [height // 2, width // 2])
    for t in range(frames):
        y, x = (start + (np.array([t, 2 * t]) if moving else 0)) % [height - 16, width - 16]
        frame = background.copy()
        frame[y : y + 16, x : x + 16] = colour
        out[t] = frame
    return out


def write_clip(path: Path, seeds: tuple[int, ...], fps: float = 8.0, **options: Any) -> Path:
    """An mp4 of one shot per seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mp4(path, np.concatenate([scene(seed, **options) for seed in seeds]), fps)
    return path


@pytest.fixture(scope="session")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ordinary footage: four videos (two of them multi-shot), an equal copy, an image."""
    folder = tmp_path_factory.mktemp("footage")
    write_clip(folder / "one.mp4", (1,))
    write_clip(folder / "two.mp4", (2, 3))
    write_clip(folder / "three.mp4", (4, 5, 6))
    write_clip(folder / "four.mp4", (7,))
    (folder / "copy.mp4").write_bytes((folder / "four.mp4").read_bytes())
    write_image(folder / "still.png", scene(8, frames=1)[0])
    return folder


def spec_dict(footage: Path, out: Path, **changes: Any) -> dict[str, Any]:
    """A weight-free spec over everything up to the dataset."""
    stages: list[dict[str, Any]] = [
        {"split": {"detector": "adaptive", "min_s": 0.5, "max_s": 10}},
        {"score": ["motion", "sharpness", "exposure", "borders", "gist"]},
        {"keep": {"sharpness": {"min": 0.0}}},
        {"screen": {"explicit": [], "violence": [], "hate": []}},
        {"dedup": {"exact": {}, "perceptual": {}}},
        {"caption": {"with": "template"}},
        {"check": {}},
        {
            "encode": {
                "latents": {"codec": "dct", "channels": 32, "short_side": 32, "max_frames": 9},
                "text": {"encoder": "hashed"},
            }
        },
        {"export": {}},
    ]
    engine = {"workers": 2, "shard_rows": 2}
    raw = {"name": "test", "sources": [{"path": str(footage)}], "output": str(out), "stages": stages, "engine": engine}
    return {**raw, **changes}


def write_spec(path: Path, raw: dict[str, Any]) -> Path:
    """A spec as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(raw, sort_keys=False))
    return path


def rushes(
    *arguments: str | Path, timeout: float = 300, env: dict[str, str] | None = None, cwd: Path = REPO
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "curate.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, cwd=cwd, env={**os.environ, **(env or {})}, check=False,
    )  # fmt: skip
