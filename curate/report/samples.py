"""The sampled clips, embedded as data URLs, with what was asked: OUT/samples/prompts.jsonl, a line each."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from curate.errors import StorageError
from curate.report.training import lines
from curate.report.words import count, number

SHOWN = 24
# A clip of a few seconds at sizes for a CPU takes tens of kilobytes; a large one is named, not embedded.
_MOST_BYTES = 4 << 20
_TYPES = {".mp4": "video/mp4", ".png": "image/png"}


def samples(folder: Path) -> dict[str, Any] | None:
    """The first samples as cards, or None where there are none.

    Raises:
        StorageError: a sample that prompts.jsonl names is missing, or lies outside of the folder.
    """
    rows = lines(folder / "prompts.jsonl")
    if not rows:
        return None
    return {"cards": [_card(folder, row) for row in rows[:SHOWN]], "of": len(rows)}


def _card(folder: Path, row: dict[str, Any]) -> dict[str, Any]:
    path = folder / row["path"]
    if not path.resolve().is_relative_to(folder.resolve()):
        raise StorageError(f"{folder / 'prompts.jsonl'} names {row['path']!r}, outside of its folder")
    try:
        embed = path.stat().st_size <= _MOST_BYTES
        data = path.read_bytes() if embed else b""
    except OSError as error:
        raise StorageError(f"sample {path} cannot be read ({error.strerror}); run again to make it") from error
    kind = _TYPES.get(path.suffix, "application/octet-stream")
    width, height = row.get("width") or 16, row.get("height") or 9
    return {
        "prompt": row.get("prompt", ""),
        "file": row["path"],
        "ratio": f"{width} / {height}",
        "video": kind.startswith("video/"),
        "data": f"data:{kind};base64,{base64.b64encode(data).decode()}" if embed else "",
        "facts": _facts(row),
    }


def _facts(row: dict[str, Any]) -> list[str]:
    facts = [str(row["task"])] if row.get("task") else []
    if row.get("seed") is not None:
        facts.append(f"seed {row['seed']}")
    if row.get("width"):
        facts.append(f"{row['width']}x{row['height']}")
    if row.get("num_frames"):
        facts.append(count(row["num_frames"], "frame"))
    if row.get("fps"):
        facts.append(f"{number(row['fps'])} fps")
    return facts
