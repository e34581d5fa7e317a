"""Where a model and a sample come from: digests of weights and data, and the card inside every mp4."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from curate.errors import SpecError

# The id of "", whose true features stand in for a dropped caption, in training and in guidance alike.
EMPTY_TEXT_ID = hashlib.sha256(b"").hexdigest()[:32]
GENERATOR = "rushes"


def fingerprint(value: Any) -> str:
    """Return the sha256 (32 hex digits) of any JSON value; the order of keys does not matter."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def files_sha256(paths: list[Path]) -> str:
    """Return the sha256 over several files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def init_files(folder: Path) -> list[Path]:
    """Return the JSON files and weights of a model to start from, without the rest of its pipeline.

    Raises SpecError when there are no weights.
    """
    kinds = ("*.json", "*.safetensors", "transformer/*.json", "transformer/*.safetensors")
    found = sorted(path for kind in kinds for path in folder.glob(kind))
    if not any(path.suffix == ".safetensors" for path in found):
        raise SpecError(f"train.init: {folder} holds no weights")
    return found


def init_sha256(folder: Path) -> str:
    """Return the sha256 over the names and bytes of what a run starts from."""
    digest = hashlib.sha256()
    for path in init_files(folder):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder)} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def sample_card(run: dict[str, Any], model_sha256: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return what an mp4 says of itself: synthetic, by which model, from which data, asked for how.

    `shift` is None where it is the run's.
    """
    return {
        "generator": GENERATOR,
        "synthetic": True,
        "model_sha256": model_sha256,
        "data_receipt": run["receipt_digest"],
        "unscreened": run["unscreened"],
        "uncalibrated": run["uncalibrated"],
        **({"trained_steps": run["trained_steps"]} if "trained_steps" in run else {}),  # made while it is trained
        **{key: request[key] for key in ("prompt", "task", "seed", "steps", "guidance", "solver", "shift")},
    }
