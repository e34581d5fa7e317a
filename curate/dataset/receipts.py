"""The screening receipt: without a valid one the trainer refuses a dataset (safety fails closed).

`receipt.json` says for each safety category which screens saw the clips, or `unscreened`, and carries the digest
of dataset.json, which carries the sha256 of every shard. So an edited, added or missing shard, card or receipt is
found. The digest is a seal against mistakes and silent edits; who can write all files can also seal anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curate.errors import UnscreenedData

REQUIRED_CATEGORIES = ("explicit", "violence", "hate")
UNSCREENED = "unscreened"


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys and a newline at the end: equal values, equal bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def sealed_receipt(receipt: dict[str, Any], card_bytes: bytes) -> dict[str, Any]:
    """Return the receipt with the dataset's sha256 and its own digest, which covers both."""
    body = {**receipt, "dataset_sha256": hashlib.sha256(card_bytes).hexdigest()}
    return {**body, "digest": hashlib.sha256(canonical_json(body)).hexdigest()}


def verify_receipt(dataset_dir: Path, allow_unscreened: Sequence[str] = ()) -> dict[str, Any]:
    """Check the receipt against every byte of the dataset and return it.

    Raises UnscreenedData when there is no receipt, when it or the data was changed after it was written, or when
    a required category (explicit, violence, hate) is unscreened and not named in `allow_unscreened`.
    """
    dataset_dir = Path(dataset_dir)
    receipt = _read_receipt(dataset_dir)
    _check_card(dataset_dir, receipt)
    _check_shards(dataset_dir)
    for category in unscreened_categories(receipt):
        if category not in allow_unscreened:
            raise UnscreenedData(
                f"{dataset_dir} is not screened for {category}: name a screen under `screen: {{{category}: [...]}}`"
                f" and export again, or accept it with `train: {{allow_unscreened: [{category}]}}`"
            )
    return receipt


def unscreened_categories(receipt: dict[str, Any]) -> list[str]:
    """Return the required categories without a screen: all whose value is not a list of screens' names."""
    categories = receipt.get("categories")
    named = categories if isinstance(categories, dict) else {}
    return [category for category in REQUIRED_CATEGORIES if not _is_screened(named.get(category))]


def _is_screened(screens: object) -> bool:
    """Only a list of names counts, none of them blank or "unscreened": what else stands there says nothing."""
    if not isinstance(screens, list) or not screens:
        return False
    return all(isinstance(name, str) and name.strip() and name.strip() != UNSCREENED for name in screens)


def _read_receipt(dataset_dir: Path) -> dict[str, Any]:
    path = dataset_dir / "receipt.json"
    if not path.is_file():
        raise UnscreenedData(f"{dataset_dir} has no receipt.json: export it again from a run with a `screen` stage")
    try:
        receipt = json.loads(path.read_bytes())
        body = {key: value for key, value in receipt.items() if key != "digest"}
        intact = receipt["digest"] == hashlib.sha256(canonical_json(body)).hexdigest()
    except (ValueError, KeyError, AttributeError, TypeError):
        intact, receipt = False, {}
    if not intact:
        raise UnscreenedData(f"{path} was changed after the export: export the dataset again")
    return receipt


def _check_card(dataset_dir: Path, receipt: dict[str, Any]) -> None:
    path = dataset_dir / "dataset.json"
    if not path.is_file():
        raise UnscreenedData(f"{dataset_dir} has no dataset.json: export the dataset again")
    if hashlib.sha256(path.read_bytes()).hexdigest() != receipt.get("dataset_sha256"):
        raise UnscreenedData(f"{path} is not the one that the receipt was written for: export the dataset again")


def _check_shards(dataset_dir: Path) -> None:
    from curate.dataset.shards import file_sha256, read_card

    listed = {s["path"]: s["sha256"] for shards in read_card(dataset_dir)["shards"].values() for s in shards}
    present = {str(path.relative_to(dataset_dir)) for path in dataset_dir.rglob("*.parquet")}
    for path in sorted(present - set(listed)):
        raise UnscreenedData(f"{dataset_dir / path} was added after the screening: remove it, or export again")
    for path in sorted(set(listed) - present):
        raise UnscreenedData(f"{dataset_dir / path} is missing: restore it, or export the dataset again")
    for path, digest in sorted(listed.items()):
        if file_sha256(dataset_dir / path) != digest:
            raise UnscreenedData(f"{dataset_dir / path} was changed after the screening: export the dataset again")
    _check_files(dataset_dir, [path for path in listed if path.startswith("mp4_index/")])


def _check_files(dataset_dir: Path, index: list[str]) -> None:
    """The mp4 files are those that the index tells, which the card seals."""
    import pyarrow.parquet as pq

    from curate.dataset.shards import file_sha256

    listed = {
        f"{row['clip_id']}.mp4": row["sha256"]
        for path in index
        for row in pq.read_table(dataset_dir / path, columns=["clip_id", "sha256"]).to_pylist()
    }
    present = {path.name for path in (dataset_dir / "mp4").iterdir()} if (dataset_dir / "mp4").is_dir() else set()
    for name in sorted(present ^ set(listed)):
        what = "was added after the screening: remove it" if name in present else "is missing: restore it"
        raise UnscreenedData(f"{dataset_dir / 'mp4' / name} {what}, or export the dataset again")
    for name, digest in sorted(listed.items()):
        if file_sha256(dataset_dir / "mp4" / name) != digest:
            raise UnscreenedData(f"{dataset_dir / 'mp4' / name} was changed after the screening: export again")
