"""A copy of the filters with a stand-in screen, and a policy that knows it: no harmful footage is needed anywhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPO, rushes, spec_dict, write_spec

LEVELS = {"lenient": 0.9, "standard": 0.8, "strict": 0.7}


def policy() -> dict[str, Any]:
    """The policy that ships, with rules for `glow` in every category."""
    raw = yaml.safe_load((REPO / "filters" / "policy" / "default.yaml").read_text())
    for category in raw["categories"].values():
        category["screens"]["glow"] = {**LEVELS, "review": 0.6, "minor_referenced": 0.65}
    return raw


class Gate:
    """Runs specs over footage with the stand-in screen."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.footage, self.out = folder, folder / "footage", folder / "out"
        self.env = {"PYTHONPATH": f"{folder}:{REPO}"}  # the filters of the copy, and the rest of this repository
        self.policy = policy()

    def run(self, screen: dict[str, Any], *, code: int = 0, until: str = "dedup", **changes: Any) -> dict[str, Any]:
        """Run; the funnel by outcome and reason, and what was computed. `stages` adds stages by name."""
        path = write_spec(self.folder / "policy.yaml", self.policy)
        raw = spec_dict(changes.pop("source", self.footage), self.out)
        none: dict[str, Any] = {"explicit": [], "violence": [], "hate": []}
        stages = {next(iter(stage)): next(iter(stage.values())) for stage in raw["stages"]}
        stages |= {"screen": {"policy": str(path), **none, **screen}, "split": {"detector": "fixed", "min_s": 0.5}}
        stages |= changes.pop("stages", {})
        late = ("caption", "check", "encode", "export") if until == "dedup" else ()
        raw["stages"] = [{name: stage} for name, stage in stages.items() if name not in late]
        spec = write_spec(self.folder / "s.yaml", {**raw, **changes})
        done = rushes("run", spec, "--until", until, "--json", env=self.env, cwd=self.folder)
        assert done.returncode == code, done.stderr
        if code:
            return {"said": done.stderr}
        found = json.loads(done.stdout)
        return {
            "funnel": {row["reason"] or row["outcome"]: row["rows"] for row in found["funnel"]},
            "computed": found["computed"],
        }

    def ledger(self) -> list[dict[str, Any]]:
        """Rows of the ledger as it was written."""
        import pyarrow.parquet as pq

        return pq.read_table(self.out / "ledger.parquet").to_pylist()


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """An empty folder with the filters and the stand-in."""
    shutil.copytree(REPO / "filters", tmp_path / "filters", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "tests" / "safety" / "glow.py", tmp_path / "filters" / "glow.py")
    return Gate(tmp_path)
