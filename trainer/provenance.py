"""Where a model and a sample come from: digests of weights and data, and the card inside every mp4."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

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


def sample_card(run: dict[str, Any], model_sha256: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return what an mp4 says of itself: synthetic, by which model, from which data, asked for how."""
    return {
        "generator": GENERATOR,
        "synthetic": True,
        "model_sha256": model_sha256,
        "data_receipt": run["receipt_digest"],
        "unscreened": run["unscreened"],
        **{key: request[key] for key in ("prompt", "task", "seed", "steps", "guidance")},
    }
