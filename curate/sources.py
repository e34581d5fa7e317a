"""Sources: folders, globs, files and manifests become locations; equal bytes become one source.

A location is one path with its metadata. What a manifest lacks comes from the spec, and is `unknown` otherwise, never
guessed. A file is hashed once: its size and time are remembered, and when they change the hash decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec

from curate import ids
from curate.errors import SpecError
from curate.registry import nearest
from curate.spec import SOURCE_CLASSES, Source, Spec
from curate.store import write_atomic

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".ogv", ".flv", ".wmv"}
    | {".3gp", ".gif"}
)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_MANIFESTS = frozenset({".jsonl", ".csv", ".parquet"})
_META = ("source_class", "license", "origin", "acquired_at", "generator")
UNKNOWN = "unknown"
# From the strictest to the freest: of two classes for the same bytes the earlier one holds.
_STRICTEST_FIRST = (
    UNKNOWN, "public.crawl", "public.dataset", "partner.licensed", "partner.commissioned",
    "human.red_team", "human.trainer", "human.employee", "in_house",
)  # fmt: skip


@dataclass(frozen=True)
class Location:
    """One path with what its manifest or the spec says of it; `source_id` is empty when `fault` says why."""

    url: str
    meta: dict[str, Any] = field(hash=False)
    source_id: str = ""
    fault: str = ""
    detail: str = ""


def scan(spec: Spec, out: Path) -> list[Location]:
    """Resolve all sources of a spec and hash what is new, sorted by url.

    Raises:
        SpecError: a path does not exist or holds no media, a manifest cannot be read or names an unknown class.
    """
    found: list[Location] = []
    for number, source in enumerate(spec.sources):
        found += list(_resolve(source, number, spec, out))
    return _hashed(sorted(found, key=lambda location: location.url), out)


# -- resolving ---------------------------------------------------------------------------------------------------


def _resolve(source: Source, number: int, spec: Spec, out: Path) -> Iterator[Location]:
    path = source.path if source.path is not None else _generate(source, number, spec, out)
    where = f"sources.{number}.path"
    file_system, plain = fsspec.core.url_to_fs(path)
    if any(mark in plain for mark in "*?[") and not file_system.exists(plain):
        matches = sorted(file_system.glob(plain))
        if not matches:
            raise SpecError(f"{where}: nothing matches {path}")
    elif not file_system.exists(plain):
        raise SpecError(f"{where}: {path} does not exist")
    elif file_system.isdir(plain):
        matches = sorted(file_system.find(plain))
    elif PurePosixPath(plain).suffix.lower() in _MANIFESTS:
        yield from _manifest(source, path, file_system, plain)
        return
    else:
        yield Location(file_system.unstrip_protocol(plain), _metadata(source, {}, where))
        return
    media = [m for m in matches if PurePosixPath(m).suffix.lower() in VIDEO_SUFFIXES | IMAGE_SUFFIXES]
    if not media:
        others = f"; {len(matches)} other files there, such as {PurePosixPath(matches[0]).name}" if matches else ""
        raise SpecError(f"{where}: {path} holds no video or image file{others}")
    for match in media:
        yield Location(file_system.unstrip_protocol(match), _metadata(source, {}, where))


def _generate(source: Source, number: int, spec: Spec, out: Path) -> str:
    """Have a world write its footage under OUT/footage; the path of its manifest."""
    from pydantic import ValidationError

    from curate.registry import resolve

    options = dict(source.generate or {})
    world = resolve("world", options.pop("world"))
    folder = out / "footage" / str(number)
    try:
        return str(world(**options).write(folder, spec.seed))
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"sources.{number}.generate.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _manifest(source: Source, path: str, file_system: Any, plain: str) -> Iterator[Location]:
    folder = PurePosixPath(plain).parent
    for number, row in enumerate(_manifest_rows(path, file_system, plain)):
        where = f"{path} row {number + 1}"
        theirs = source.columns.get("path", "path")
        target = row.get(theirs) if theirs else None
        if not isinstance(target, str) or not target:
            raise SpecError(f"{where}: no column {theirs!r}; map it with `columns: {{path: NAME}}`")
        meta = _metadata(source, row, where)
        if "://" in target:
            yield Location(target, meta)
        else:
            absolute = target if target.startswith("/") else str(folder / target)
            yield Location(file_system.unstrip_protocol(absolute), meta)


def _manifest_rows(path: str, file_system: Any, plain: str) -> list[dict[str, Any]]:
    """Rows of a JSONL, CSV or Parquet manifest as dictionaries."""
    import pyarrow as pa

    suffix = PurePosixPath(plain).suffix.lower()
    try:
        with file_system.open(plain, "rb") as file:
            if suffix == ".jsonl":
                lines = file.read().decode("utf-8").splitlines()
                rows = [json.loads(line) for line in lines if line.strip()]
            elif suffix == ".csv":
                import pyarrow.csv

                rows = pyarrow.csv.read_csv(file).to_pylist()
            else:
                import pyarrow.parquet

                rows = pyarrow.parquet.read_table(file).to_pylist()
    except (ValueError, pa.ArrowException, OSError) as error:
        raise SpecError(f"manifest {path} cannot be read: {error}") from error
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise SpecError(f"manifest {path} has no rows" if not rows else f"manifest {path}: a row is not an object")
    return rows


def _metadata(source: Source, row: dict[str, Any], where: str) -> dict[str, Any]:
    """Metadata of one location: the manifest's value, else the spec's."""

    def pick(name: str) -> Any:
        theirs = source.columns.get(name, name)
        # A mapped column that a manifest lacks: it may use our name.
        value = row.get(theirs, row.get(name)) if theirs is not None else None
        return getattr(source, name) if value is None else value

    meta: dict[str, Any] = {name: str(pick(name)) for name in _META}
    if meta["source_class"] not in (*SOURCE_CLASSES, UNKNOWN):
        raise SpecError(
            f"{where}: unknown source_class {meta['source_class']!r}; {nearest(meta['source_class'], SOURCE_CLASSES)}; "
            "map another column, or leave it aside with `columns: {source_class: null}`"
        )
    synthetic = pick("is_synthetic")
    meta["is_synthetic"] = UNKNOWN if synthetic is None else str(bool(synthetic)).lower()
    meta["original_caption"] = _caption(pick("original_caption"), where)
    return meta


def _caption(value: Any, where: str) -> str | list[dict[str, Any]] | None:
    """One text for the whole file, or timed texts {start_s, end_s, text}."""
    if value is None or isinstance(value, str):
        return value
    try:
        return [
            {"start_s": float(item["start_s"]), "end_s": float(item["end_s"]), "text": str(item["text"])}
            for item in value
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise SpecError(f"{where}: original_caption is a text or a list of {{start_s, end_s, text}}") from error


# -- hashing -----------------------------------------------------------------------------------------------------


def _hashed(locations: list[Location], out: Path) -> list[Location]:
    memory_path = out / "hashes.json"
    memory: dict[str, list[Any]] = json.loads(memory_path.read_bytes()) if memory_path.exists() else {}
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda location: _hash(location, memory), locations))
    fresh = {location.url: known for location, known in done if known is not None}
    if any(memory.get(url) != known for url, known in fresh.items()):
        write_atomic(memory_path, json.dumps({**memory, **fresh}).encode(), replace=True)
    return [location for location, _ in done]


def _hash(location: Location, memory: dict[str, list[Any]]) -> tuple[Location, list[Any] | None]:
    """Fill in the source id; [size, time, source_id] is what is remembered."""
    try:
        file_system, plain = fsspec.core.url_to_fs(location.url)
        info = file_system.info(plain)
        if info["type"] != "file":
            return Location(location.url, location.meta, fault="source:not_a_file", detail=str(info["type"])), None
        stamp = str(info.get("mtime") or info.get("LastModified") or info.get("ETag") or info.get("created") or "")
        known = memory.get(location.url)
        if known is None or known[:2] != [info["size"], stamp] or not stamp:
            with file_system.open(plain, "rb") as file:
                known = [info["size"], stamp, ids.source_id(file)]
    except FileNotFoundError:
        return Location(location.url, location.meta, fault="source:missing", detail="the path does not exist"), None
    except OSError as error:
        return Location(location.url, location.meta, fault="source:unreadable", detail=str(error)), None
    return Location(location.url, location.meta, source_id=known[2]), known


# -- sources of equal bytes --------------------------------------------------------------------------------------


def merged_metadata(locations: list[Location]) -> dict[str, Any]:
    """Metadata of one source with several locations: where they disagree, the strictest holds."""
    metas = [location.meta for location in locations]
    merged = dict(metas[0])
    merged["source_class"] = min((meta["source_class"] for meta in metas), key=_STRICTEST_FIRST.index)
    for name in ("license", "is_synthetic", "origin", "acquired_at", "generator"):
        values = sorted({meta[name] for meta in metas})
        if len(values) > 1:
            # No allow-list names such a value, so a conflict is never taken for a permission.
            merged[name] = UNKNOWN if UNKNOWN in values else "conflict: " + " | ".join(values)
    merged["original_caption"] = next((m["original_caption"] for m in metas if m["original_caption"]), None)
    return merged


def original_caption(meta: dict[str, Any], start_s: float, end_s: float, whole: bool) -> str | None:
    """The original caption of a clip: the timed one that covers most of it (at least half), or the file's own text
    when the clip is the whole file."""
    caption = meta["original_caption"]
    if caption is None or isinstance(caption, str):
        return caption if whole else None
    length = max(end_s - start_s, 1e-9)
    shares = [(min(end_s, c["end_s"]) - max(start_s, c["start_s"])) / length for c in caption]
    best = max(range(len(shares)), key=lambda i: (shares[i], -i), default=None)
    return caption[best]["text"] if best is not None and shares[best] >= 0.5 else None
