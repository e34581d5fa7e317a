"""Manifests of footage: JSONL, CSV or Parquet with a row a file. Paths are relative to the manifest.

Rows of one path are one location when they agree; their timed captions are put together.
"""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa

from curate.errors import InputRejected, SpecError
from curate.files import absolute_path, file_url, is_local, local_path, open_url, rejecting, remote, remote_url
from curate.locations import Location, located, metadata
from curate.spec import Source

SUFFIXES = frozenset({".jsonl", ".csv", ".parquet"})


def listed(source: Source, path: str) -> Iterator[Location]:
    """The locations that a manifest lists, in its order.

    Raises:
        SpecError: it cannot be read, a row has no path, or says what cannot be; the row is named.
    """
    bare = source.model_copy(update={"original_caption": None})
    places: dict[str, list[tuple[str, Location]]] = defaultdict(list)
    for number, row in enumerate(rows_of(path), 1):
        where = f"{path} row {number}"
        _add(places, where, located(_url(_target(source, row, where), path), metadata(bare, row, where)))
    for rows in places.values():
        for _, location in rows:
            said = location.meta["original_caption"]
            meta = {**location.meta, "original_caption": source.original_caption if said is None else said}
            yield replace(location, meta=meta)


def urls_of(source: Source, path: str) -> list[str]:
    """The url of every row, in the manifest's order."""
    return [_url(_target(source, row, f"{path} row {n}"), path) for n, row in enumerate(rows_of(path), 1)]


def _add(places: dict[str, list[tuple[str, Location]]], where: str, location: Location) -> None:
    """Merge a row into an earlier one of its path with equal metadata; others stay apart, and count as duplicates."""
    rows = places[location.url]
    for index, (earlier, known) in enumerate(rows):
        caption = _both(known.meta["original_caption"], location.meta["original_caption"], f"{earlier} and {where}")
        if {**known.meta, "original_caption": None} == {**location.meta, "original_caption": None}:
            rows[index] = (earlier, replace(known, meta={**known.meta, "original_caption": caption}))
            return
    rows.append((where, location))


def _both(one: Any, two: Any, where: str) -> Any:
    if one is None or two is None or one == two:
        return two if one is None else one
    if isinstance(one, list) and isinstance(two, list):
        return [*one, *(caption for caption in two if caption not in one)]
    raise SpecError(
        f"{where}: two captions for the same path; a file has one text, or a list of {{start_s, end_s, text}}"
    )


def _target(source: Source, row: dict[str, Any], where: str) -> str:
    theirs = source.columns.get("path", "path")
    if theirs is None or theirs not in row:
        raise SpecError(f"{where}: no column {theirs!r}; map it with `columns: {{path: NAME}}`")
    target = row[theirs]
    if not isinstance(target, str) or not target:
        raise SpecError(f"{where}: {theirs!r} must be the path of a file, and is {target!r}")
    return target


def _url(target: str, manifest: str) -> str:
    if not is_local(target):
        return target
    if is_local(manifest):
        return file_url(str(Path(absolute_path(manifest)).parent / local_path(target)))
    file_system, plain = remote(manifest)
    beside = target if target.startswith("/") else f"{plain.rpartition('/')[0]}/{target}"
    return remote_url(file_system, beside, manifest)


# -- rows --------------------------------------------------------------------------------------------------------


def rows_of(path: str) -> list[dict[str, Any]]:
    """Rows of a manifest as dictionaries. Raises SpecError where it cannot be read."""
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    place = absolute_path(path) if is_local(path) else path
    try:
        with rejecting(place), open_url(place) as file:
            data = file.read()
        rows = readers[PurePosixPath(path.partition("::")[0] if not is_local(path) else path).suffix.lower()](data)
    except InputRejected as error:
        raise SpecError(f"manifest {path} cannot be read: {error.detail}") from error
    except (ValueError, pa.ArrowException, OSError, csv.Error) as error:
        raise SpecError(f"manifest {path} cannot be read: {error}") from error
    if not rows:
        raise SpecError(f"manifest {path} has no rows")
    return rows


def _text(data: bytes) -> str:
    # A byte that is not UTF-8 costs its own row (its name or caption is marked), not the manifest.
    return data.decode("utf-8-sig", "surrogateescape")


def _jsonl(data: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    # Lines end at "\n" only: JSON texts may hold the other separators of Unicode as they are.
    for line in _text(data).split("\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"row {len(rows) + 1}: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"row {len(rows) + 1} is not an object")
        rows.append(row)
    return rows


def _csv(data: bytes) -> list[dict[str, Any]]:
    """Cells are texts: a licence 1.10 is not the number 1.1. Empty ones, and the NaN of tables, are null."""
    lines = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    header = next(lines, [])
    rows = []
    for cells in filter(None, lines):
        if len(cells) != len(header):
            raise ValueError(f"row {len(rows) + 1} has {len(cells)} cells for {len(header)} columns")
        said = (None if cell.strip().lower() in ("", "nan") else cell for cell in cells)
        rows.append(dict(zip(header, said, strict=True)))
    return rows


def _parquet(data: bytes) -> list[dict[str, Any]]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(pa.BufferReader(data)).to_pylist()
