"""A location: one path, with what its manifest or the spec says of it.

What neither says is `unknown`, never guessed. A null, an empty text and NaN say nothing.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

from curate.errors import SpecError
from curate.registry import nearest
from curate.spec import SOURCE_CLASSES, Source

UNKNOWN = "unknown"
WEIGHTS = ("weight", "loss_weight")
_META = ("source_class", "license", "origin", "acquired_at", "generator")
_SURROGATES = re.compile(r"[\ud800-\udfff]")  # halves of characters: no UTF-8 text holds one
_REPLACEMENT = "\ufffd"
_YES, _NO = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})


@dataclass(frozen=True)
class Location:
    """One path with its metadata; `source_id` is empty when `fault` says why."""

    url: str
    meta: dict[str, Any] = field(hash=False)
    source_id: str = ""
    fault: str = ""
    detail: str = ""


def located(url: str, meta: dict[str, Any]) -> Location:
    """The location of a url; a name that is not UTF-8 is a fault, and is written with backslashes."""
    if not _SURROGATES.search(url):
        return Location(url, meta)
    printable = url.encode("utf-8", "backslashreplace").decode("utf-8")
    return Location(printable, meta, fault="source:name", detail="the name is not UTF-8; rename the file")


def metadata(source: Source, row: dict[str, Any], where: str) -> dict[str, Any]:
    """Metadata of one location: the manifest's value, else the spec's.

    Raises:
        SpecError: an unknown class, a caption of another form, an `is_synthetic` that is neither yes nor no, a weight
            that is no number from 0 up.
    """

    def pick(name: str) -> Any:
        theirs = source.columns.get(name, name)
        # A mapped column that a manifest lacks: it may use our name.
        value = row.get(theirs, row.get(name)) if theirs is not None else None
        return value if _says(value) else getattr(source, name)

    meta: dict[str, Any] = {name: _clean(str(pick(name))) for name in _META}
    if meta["source_class"] not in (*SOURCE_CLASSES, UNKNOWN):
        raise SpecError(
            f"{where}: unknown source_class {meta['source_class']!r}; {nearest(meta['source_class'], SOURCE_CLASSES)}; "
            "map another column, or leave it aside with `columns: {source_class: null}`"
        )
    synthetic = yes_or_no(pick("is_synthetic"), f"{where}: is_synthetic")
    meta["is_synthetic"] = UNKNOWN if synthetic is None else str(synthetic).lower()
    for name in ("original_caption", "transcript"):
        meta[name] = _timed(pick(name), name, where)
    for name in WEIGHTS:
        meta[name] = _weight(pick(name), f"{where}: {name}")
    title = pick("title")
    meta["title"] = _clean(str(title)) if _says(title) else None
    return meta


def _says(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and value != [] and not (isinstance(value, float) and math.isnan(value))


def _clean(text: str) -> str:
    # What is lost was no character; the check of captions flags the mark that stands for it.
    return _SURROGATES.sub(_REPLACEMENT, text)


def yes_or_no(value: Any, where: str) -> bool | None:
    """A cell that says true or false, or nothing (null, empty, NaN, `unknown`). Raises SpecError for anything else."""
    if not _says(value):
        return None
    # A column of numbers with gaps is one of floats: 1.0 is 1.
    text = str(int(value) if isinstance(value, float) and value.is_integer() else value).strip().lower()
    if text in (*_YES, *_NO, UNKNOWN):
        return None if text == UNKNOWN else text in _YES
    raise SpecError(f"{where} is true or false (or yes, no, 1, 0), not {value!r}")


def _weight(value: Any, where: str) -> float | None:
    if not _says(value):
        return None
    try:
        weight = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if not 0 <= weight < math.inf:
        raise SpecError(
            f"{where} is a number from 0 up, not {value!r}; a column that means something else is left aside "
            "with `columns: {NAME: null}`"
        )
    return weight


def _timed(value: Any, name: str, where: str) -> str | list[dict[str, Any]] | None:
    """One text for the whole file, or timed texts {start_s, end_s, text}."""
    if isinstance(value, str) and value.lstrip().startswith("[{"):  # a CSV has no lists: its cells hold JSON
        try:
            value = json.loads(value)
        except ValueError as error:
            raise SpecError(f"{where}: {name} begins like a list and is no JSON: {error}") from error
    if value is None or isinstance(value, str):
        return None if value is None else _clean(value)
    try:
        timed = [
            {"start_s": float(item["start_s"]), "end_s": float(item["end_s"]), "text": _clean(str(item["text"]))}
            for item in value
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise SpecError(f"{where}: {name} is a text or a list of {{start_s, end_s, text}}") from error
    for caption in timed:
        if not -math.inf < caption["start_s"] <= caption["end_s"] < math.inf:
            raise SpecError(f"{where}: {name} has a text from {caption['start_s']} to {caption['end_s']} s")
    return timed
