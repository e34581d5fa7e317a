"""The logs of a run: a JSON line a step, of the steps that its checkpoint holds."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from curate.durable import sync_dir, sync_file
from curate.errors import StorageError
from trainer.durable import storing

LOGS = ("log.jsonl", "eval.jsonl")


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a record to a log of JSON lines. Raises StorageError on the disk, as all here do."""
    with storing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def make_durable(out_dir: Path) -> None:
    """Bring the logs to the disk: a checkpoint says that the steps in them are not taken again."""
    for path in (out_dir / name for name in LOGS):
        if path.is_file():
            with storing(path):
                sync_file(path)


def truncate_log(path: Path, done: int) -> None:
    """Keep the lines of the steps that the checkpoint holds: what came after is taken again."""
    if not path.is_file():
        return
    kept, lines = [], path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            step = json.loads(line)["step"]
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                continue  # the line that was being written when the process was killed
            raise StorageError(f"{path}:{number} is damaged ({error}): repair or remove the line") from error
        if step <= done:
            kept.append(line + "\n")
    write_lines(path, kept)


def write_lines(path: Path, lines: list[str]) -> None:
    """Replace a file by these lines, or leave it as it is."""
    work = path.with_name(f".{path.name}.tmp")
    with storing(path):
        with work.open("w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        work.replace(path)
        sync_dir(path.parent)
