"""Dataset-wide results: which snapshot of dedup, export, train, sample and report is the one for the present input.

A snapshot's key holds the digest of what it read, so an unchanged input is not computed again. The keys of finished
snapshots stand in OUT/snapshots.json; a snapshot that is not named there does not exist.
"""

from __future__ import annotations

import json
from pathlib import Path

from curate.errors import StorageError
from curate.store import write_atomic

_FILE = "snapshots.json"


def finished(out: Path) -> dict[str, str]:
    """Keys of the finished snapshots by stage.

    Raises:
        StorageError: the file is damaged.
    """
    path = out / _FILE
    if not path.exists():
        return {}
    try:
        keys = json.loads(path.read_bytes())
        return {str(stage): str(key) for stage, key in keys.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise StorageError(
            f"{path} is damaged ({error}); remove it: dataset, model and samples are then made again"
        ) from error


def finish(out: Path, stage: str, key: str) -> None:
    """Say that the snapshot of a stage is the one with this key."""
    write_atomic(out / _FILE, json.dumps({**finished(out), stage: key}, indent=1).encode(), replace=True)


def forget(out: Path, stage: str) -> None:
    """Say that a stage has no snapshot, so that the next run makes it again."""
    rest = {name: key for name, key in finished(out).items() if name != stage}
    write_atomic(out / _FILE, json.dumps(rest, indent=1).encode(), replace=True)
