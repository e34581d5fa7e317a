"""Runs of the gate that benchmarks share: a spec over footage, with stand-in screens beside the real filters."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

REPO = Path(__file__).parent.parent


def gated(folder: Path, spec: dict[str, Any], screens: dict[str, str] | None = None, level: float = 0.5) -> list[Any]:
    """Run a spec in `folder`; url, outcome and reason of every row of its ledger, which lies in `folder/out`.

    screens: further screens by name, as source; the policy that ships stops at their `level`. SystemExit if it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    if screens:
        shutil.copytree(REPO / "filters", folder / "filters", ignore=shutil.ignore_patterns("__pycache__"))
        policy = yaml.safe_load((REPO / "filters" / "policy" / "default.yaml").read_text())
        for name, source in screens.items():
            (folder / "filters" / f"{name}.py").write_text(source)
            for category in policy["categories"].values():
                category["screens"][name] = dict.fromkeys(policy["profiles"], level)
        (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
        spec = {**spec, "stages": [_with_policy(stage, folder / "policy.yaml") for stage in spec["stages"]]}
        env["PYTHONPATH"] = f"{folder}{os.pathsep}{REPO}"
    path = folder / "spec.yaml"
    path.write_text(yaml.safe_dump({**spec, "output": str(folder / "out")}))
    command = [sys.executable, "-m", "curate.cli", "run", str(path), "--until", "dedup", "--json"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{spec['name']}: {done.stderr[-2000:]}")
    return pq.read_table(folder / "out" / "ledger.parquet", columns=["url", "outcome", "reason"]).to_pylist()


def _with_policy(stage: dict[str, Any], policy: Path) -> dict[str, Any]:
    return {"screen": {"policy": str(policy), **stage["screen"]}} if "screen" in stage else stage
