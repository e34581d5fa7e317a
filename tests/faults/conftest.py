"""Filters that crash, loop and eat memory: a copy of the filters package with poison in it, first on the path."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import REPO

_POISON = '''
"""A score that does what its name says to clips whose first frame is nearly black, and measures 1 on all others."""
import ctypes, os, time
import numpy as np
import pyarrow as pa
from curate.stage import Clip, Frames, Score, column

class Poison(Score):
    name = "{name}"
    frames = Frames(2.0, 256, "rgb")
    fields = (column("score", pa.float64(), "", "one"),)

    def measure(self, frames_THWC, clip: Clip):
        if frames_THWC[0].mean() < 10:
            {act}
        return {{"score": 1.0}}
'''

ACTS = {
    "segfault": "ctypes.string_at(0)",
    "exits": "os._exit(0)",
    "loops": "\n            while True: pass",
    "hoards": "\n            hoard = []\n            while True: hoard.append(np.ones(1 << 24))",
    "nan": 'return {{"score": float("nan")}}',
    "raises": 'raise RuntimeError("poison")',
}


@pytest.fixture(scope="session")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which `filters` has the poison scores beside the real ones."""
    root = tmp_path_factory.mktemp("poison")
    shutil.copytree(REPO / "filters", root / "filters", ignore=shutil.ignore_patterns("__pycache__"))
    for name, act in ACTS.items():
        Path(root / "filters" / f"{name}.py").write_text(
            _POISON.format(name=name, act=act.replace("{{", "{").replace("}}", "}"))
        )
    return {"PYTHONPATH": str(root)}
