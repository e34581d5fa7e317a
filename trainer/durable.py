"""Files that are whole or absent, and durable; what the disk refuses is a StorageError that names the place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from curate.durable import file_sha256, sync_file
from curate.errors import StorageError


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what a full or failing disk raises while `path` is written into a StorageError that names it."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors wraps the system's error in its own
        raise StorageError(f"cannot write {path}: {error}") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON durably: temporary file, fsync, rename."""
    work = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    with work.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    work.replace(path)


def synced_sha256(path: Path) -> str:
    """Make a file's bytes durable and return their sha256."""
    sync_file(path)
    return file_sha256(path)
