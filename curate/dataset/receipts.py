"""The screening receipt: without a valid one the trainer refuses a dataset (safety fails closed).

`receipt.json` says for each safety category which screens saw the clips, or `unscreened`, and carries the digest
of dataset.json, which carries the sha256 of every shard. So an edited, added or missing shard, card or receipt is
found. The digest is a seal against mistakes and silent edits; who can write all files can also seal anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from curate.dataset.place import Place
from curate.errors import UnscreenedData

REQUIRED_CATEGORIES = ("explicit", "violence", "hate")
UNSCREENED = "unscreened"
LEAST_DIGITS = 8  # of a policy's sha256 that name it


def canonical_json(value: Any) -> bytes:
    """Return JSON with sorted keys and a newline at the end: equal values, equal bytes."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def sealed_receipt(receipt: dict[str, Any], card_bytes: bytes) -> dict[str, Any]:
    """Return the receipt with the dataset's sha256 and its own digest, which covers both."""
    body = {**receipt, "dataset_sha256": hashlib.sha256(card_bytes).hexdigest()}
    return {**body, "digest": hashlib.sha256(canonical_json(body)).hexdigest()}


def verify_receipt(
    dataset_dir: Path | str,
    allow_unscreened: Sequence[str] = (),
    *,
    allow_uncalibrated: Sequence[str] = (),
    require_policy: str | None = None,
    today: date | None = None,
) -> dict[str, Any]:
    """Check the receipt against every byte of the dataset, a folder or any fsspec URL of one, and return it.

    require_policy: the policy's name, `NAME/PROFILE`, or the beginning of its sha256.

    Raises UnscreenedData when there is no receipt, when it or the data was changed after it was written, when a list of
    known material went stale, when another policy was used, or when a required category (explicit, violence, hate) is
    unscreened or screened by nobody-knows-how-well and not named in `allow_unscreened` or `allow_uncalibrated`.
    StorageError when a file cannot be read.
    """
    place = Place(dataset_dir)
    dataset_dir = place.root
    receipt = _read_receipt(place)
    _check_shards(place, _read_card(place, receipt))
    _check_lists(dataset_dir, receipt, today or datetime.now(UTC).date())
    _check_policy(dataset_dir, receipt, require_policy)
    for category in unscreened_categories(receipt):
        if category not in allow_unscreened:
            raise UnscreenedData(
                f"{dataset_dir} is not screened for {category}: name a screen under `screen: {{{category}: [...]}}`"
                f" and export again, or accept it with `train: {{allow_unscreened: [{category}]}}`"
            )
    for category in uncalibrated_categories(receipt):
        if category not in allow_uncalibrated:
            raise UnscreenedData(
                f"{dataset_dir} is screened for {category} by screens that nobody has calibrated: name one that is (a "
                "head of `rushes head`), measure them with `rushes screen eval`, or accept it with "
                f"`train: {{allow_uncalibrated: [{category}]}}`"
            )
    return receipt


def _check_lists(dataset_dir: str, receipt: dict[str, Any], today: date) -> None:
    """Lists of known material grow: data that passed an old one must pass the new one first."""
    for known in receipt.get("lists") or []:
        path, last = Path(known["path"]), date.fromisoformat(known["updated"]) + timedelta(days=known["max_age_days"])
        changed = path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != known["sha256"]
        if changed or today > last:
            why = "has changed since" if changed else f"was to be renewed by {last}"
            raise UnscreenedData(
                f"{dataset_dir} was held against the list {known['name']!r} of known material, which {why}: run the "
                "pipeline again with the present list, which decodes nothing anew, and export again"
            )


def _check_policy(dataset_dir: str, receipt: dict[str, Any], wanted: str | None) -> None:
    policy = receipt.get("policy")
    if wanted is None:
        return
    used = policy if isinstance(policy, dict) else {"name": "none", "profile": "", "sha256": ""}
    names = (used["name"], f"{used['name']}/{used['profile']}")
    if wanted in names or (len(wanted) >= LEAST_DIGITS and used["sha256"].startswith(wanted)):
        return
    raise UnscreenedData(
        f"{dataset_dir} was screened by the policy {names[1]} ({used['sha256'][:12]}), and `train.require_policy` "
        f"wants {wanted}: screen with that one and export again, or change what is required"
    )


def uncalibrated_categories(receipt: dict[str, Any]) -> list[str]:
    """Return the required categories that are screened, but by no screen whose misses anybody measured."""
    calibrated = receipt.get("calibrated")
    known = calibrated if isinstance(calibrated, dict) else {}
    unscreened = unscreened_categories(receipt)
    return [name for name in REQUIRED_CATEGORIES if name not in unscreened and known.get(name) is not True]


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


def _read_receipt(place: Place) -> dict[str, Any]:
    data = place.read("receipt.json")
    if data is None:
        raise UnscreenedData(f"{place.root} has no receipt.json: export it again from a run with a `screen` stage")
    try:
        receipt = json.loads(data)
        if "revoked" in receipt:
            raise UnscreenedData(
                f"{place.root} was revoked: {receipt['revoked']}. Run the pipeline again to export it anew"
            )
        body = {key: value for key, value in receipt.items() if key != "digest"}
        intact = receipt["digest"] == hashlib.sha256(canonical_json(body)).hexdigest()
    except (ValueError, KeyError, AttributeError, TypeError):
        intact, receipt = False, {}
    if not intact:
        raise UnscreenedData(f"{place.path('receipt.json')} was changed after the export: export the dataset again")
    return receipt


def _read_card(place: Place, receipt: dict[str, Any]) -> dict[str, Any]:
    from curate.dataset.shards import parse_card

    data = place.read("dataset.json")
    if data is None:
        raise UnscreenedData(f"{place.root} has no dataset.json: export the dataset again")
    if hashlib.sha256(data).hexdigest() != receipt.get("dataset_sha256"):
        raise UnscreenedData(
            f"{place.path('dataset.json')} is not the one that the receipt was written for: export the dataset again"
        )
    return parse_card(data, place.root)


def _check_shards(place: Place, card: dict[str, Any]) -> None:
    listed = {s["path"]: s["sha256"] for shards in card["shards"].values() for s in shards}
    names = place.names()
    present = {name for name in names if name.endswith(".parquet")}
    for path in sorted(present - set(listed)):
        raise UnscreenedData(f"{place.path(path)} was added after the screening: remove it, or export again")
    for path in sorted(set(listed) - present):
        raise UnscreenedData(f"{place.path(path)} is missing: restore it, or export the dataset again")
    for path, digest in sorted(listed.items()):
        found = place.sha256(path)
        if found != digest and found in listed.values():
            raise UnscreenedData(f"{place.path(path)} holds what another shard held: they were swapped; export again")
        if found != digest:
            raise UnscreenedData(f"{place.path(path)} was changed after the screening: export the dataset again")
    index = [path for path in listed if path.startswith("mp4_index/")]
    _check_files(place, index, {name for name in names if name.startswith("mp4/")})


def _check_files(place: Place, index: list[str], present: set[str]) -> None:
    """The mp4 files are those that the index tells, which the card seals."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    listed = {
        f"mp4/{row['clip_id']}.mp4": row["sha256"]
        for path in index
        for row in pq.read_table(
            pa.BufferReader(place.read(path) or b""), columns=["clip_id", "sha256"]
        ).to_pylist()
    }  # fmt: skip
    for name in sorted(present ^ set(listed)):
        what = "was added after the screening: remove it" if name in present else "is missing: restore it"
        raise UnscreenedData(f"{place.path(name)} {what}, or export the dataset again")
    for name, digest in sorted(listed.items()):
        if place.sha256(name) != digest:
            raise UnscreenedData(f"{place.path(name)} was changed after the screening: export again")
