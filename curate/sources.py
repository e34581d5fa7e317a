"""Sources: folders, globs, files and manifests become locations; equal bytes become one source."""

from __future__ import annotations

import glob
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from curate.errors import InputRejected, SpecError
from curate.files import absolute_path, file_url, is_local, local_path, rejecting, remote, remote_url
from curate.hashing import source_ids
from curate.locations import UNKNOWN, WEIGHTS, Location, located, metadata
from curate.manifests import SUFFIXES as _MANIFESTS
from curate.manifests import listed
from curate.spec import Source, Spec

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".ogv", ".flv", ".wmv"}
    | {".3gp", ".gif"}
)
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
_FOOTAGE = "footage"  # the folder of OUT that generated footage lies in
# From the strictest to the freest: of two classes for the same bytes the earlier one holds.
_STRICTEST_FIRST = (
    UNKNOWN, "public.crawl", "public.dataset", "partner.licensed", "partner.commissioned",
    "human.red_team", "human.trainer", "human.employee", "in_house",
)  # fmt: skip


TEXTS = ("original_caption", "title", "transcript")  # of the metadata: they become columns by clip
CONFLICT, SEPARATOR = "conflict: ", " | "  # how values of equal bytes that disagree are written


def scan(spec: Spec, out: Path) -> list[Location]:
    """Resolve all sources of a spec and hash what is new, sorted by url.

    Raises:
        SpecError: a path does not exist or holds no media, a manifest cannot be read or names an unknown class.
    """
    found: list[Location] = []
    for number, source in enumerate(spec.sources):
        found += _resolve(source, number, spec, out)
    found.sort(key=lambda location: location.url)
    known = source_ids((location.url for location in found if not location.fault), out / "hashes.json")
    return [location if location.fault else _identified(location, known[location.url]) for location in found]


def _identified(location: Location, known: str | InputRejected) -> Location:
    if isinstance(known, InputRejected):
        return replace(location, fault=known.reason, detail=known.detail)
    return replace(location, source_id=known)


# -- resolving ---------------------------------------------------------------------------------------------------


def _resolve(source: Source, number: int, spec: Spec, out: Path) -> Iterator[Location]:
    path = source.path if source.path is not None else _generate(source, number, spec, out)
    where = f"sources.{number}.path"
    try:
        faults: list[OSError] = []
        found = _local(path, where, out, faults) if is_local(path) else _remote(path, where)
    except InputRejected as error:
        raise SpecError(f"{where}: {path}: {error.detail}") from error
    if found is None:
        yield from listed(source, path)
        return
    meta = metadata(source, {}, where)
    for url in found:
        yield located(url, meta)
    for error in faults:
        yield replace(located(file_url(str(error.filename)), meta), fault="source:unreadable", detail=str(error))


def _local(path: str, where: str, out: Path, faults: list[OSError]) -> list[str] | None:
    """Urls of a local path; None for a manifest. Folders that cannot be listed are added to `faults`."""
    plain, pattern = absolute_path(path), os.path.expanduser(local_path(path))
    own = os.path.realpath(out)
    if glob.has_magic(pattern) and not os.path.lexists(plain):
        found = sorted(map(absolute_path, glob.glob(pattern, recursive=True, include_hidden=True)))
        if not found:
            raise SpecError(f"{where}: nothing matches {path}")
        found = [name for name in found if not _written_by_us(os.path.realpath(os.path.dirname(name)), own)]
    elif not os.path.exists(plain):
        raise SpecError(f"{where}: {path} does not exist")
    elif os.path.isdir(plain):
        found = sorted(_files(plain, own, faults))
    else:
        return None if _suffix(plain) in _MANIFESTS else [file_url(plain)]
    return [file_url(name) for name in _media(found, path, where, bool(faults))]


def _files(folder: str, own: str, faults: list[OSError]) -> Iterator[str]:
    """Files of a folder and its subfolders, links followed, each folder once."""
    seen = set()
    for base, folders, names in os.walk(folder, followlinks=True, onerror=faults.append):
        real = os.path.realpath(base)
        if real in seen or (_written_by_us(real, own) and real != own):
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(folders) if real != own else [name for name in folders if name == _FOOTAGE]
        if real != own:
            yield from (os.path.join(base, name) for name in names)


def _written_by_us(folder: str, own: str) -> bool:
    """Whether a run's own dataset, samples or report may lie in a folder; generated footage is footage."""
    parts = PurePath(folder).parts[len(PurePath(own).parts) :]
    return PurePath(folder).is_relative_to(own) and parts[:1] != (_FOOTAGE,)


def _remote(path: str, where: str) -> list[str] | None:
    """Urls of a path on another file system; None for a manifest."""
    with rejecting(path):
        file_system, plain = remote(path)
        exists = file_system.exists(plain)
        if not exists and glob.has_magic(plain):
            found = sorted(file_system.glob(plain))
            if not found:
                raise SpecError(f"{where}: nothing matches {path}")
        elif not exists:
            raise SpecError(f"{where}: {path} does not exist")
        elif file_system.isdir(plain):
            found = sorted(file_system.find(plain))
        else:
            return None if _suffix(plain) in _MANIFESTS else [remote_url(file_system, plain, path)]
        return [remote_url(file_system, name, path) for name in _media(found, path, where)]


def _media(names: list[str], path: str, where: str, or_nothing: bool = False) -> list[str]:
    media = [name for name in names if _suffix(name) in VIDEO_SUFFIXES | IMAGE_SUFFIXES]
    if not media and not or_nothing:
        others = f"; {len(names)} other files there, such as {PurePath(names[0]).name}" if names else ""
        raise SpecError(f"{where}: {path} holds no video or image file{others}")
    return media


def _suffix(name: str) -> str:
    return PurePath(name).suffix.lower()


def _generate(source: Source, number: int, spec: Spec, out: Path) -> str:
    """Have a world write its footage under OUT/footage; the path of its manifest."""
    from pydantic import ValidationError

    from curate.registry import resolve

    options = dict(source.generate or {})
    world = resolve("world", options.pop("world"))
    folder = out / _FOOTAGE / str(number)
    try:
        return str(world(**options).write(folder, spec.seed))
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(f"sources.{number}.generate.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


# -- sources of equal bytes --------------------------------------------------------------------------------------


def merged_metadata(locations: list[Location]) -> dict[str, Any]:
    """Metadata of one source with several locations: where they disagree, the strictest holds."""
    metas = [location.meta for location in locations]
    merged = dict(metas[0])
    merged["source_class"] = min((meta["source_class"] for meta in metas), key=_STRICTEST_FIRST.index)
    for name in ("license", "is_synthetic", "origin", "acquired_at", "generator"):
        values = sorted({meta[name] for meta in metas})
        if len(values) > 1:
            # No allow-list names such a value, so a conflict is never taken for a permission; a rule can split it.
            merged[name] = CONFLICT + SEPARATOR.join(values)
    for name in WEIGHTS:  # the same footage is not drawn more often for having a copy
        merged[name] = min((meta[name] for meta in metas if meta.get(name) is not None), default=None)
    merged["original_caption"] = next((m["original_caption"] for m in metas if m["original_caption"]), None)
    # Screened, not trained on: whatever any of them says counts.
    for name, theirs in (("captions", "original_caption"), ("title", "title"), ("transcript", "transcript")):
        merged[name] = _joined([meta.get(theirs) for meta in metas])
    return merged


def _joined(texts: list[Any]) -> Any:
    """Several texts of the same footage as one; timed ones stay timed only alone."""
    said = [text for i, text in enumerate(texts) if text and text not in texts[:i]]
    if len(said) < 2:
        return said[0] if said else None
    return "\n".join(touching(text, -math.inf, math.inf) or "" for text in said)


def touching(texts: Any, start_s: float, end_s: float) -> str | None:
    """A text for the whole file, or the timed ones that touch a span, in their order; None where there is none.

    Unlike `original_caption`, which says what a clip shows, this says what was said about any of it.
    """
    if texts is None or isinstance(texts, str):
        return texts
    return "\n".join(t["text"] for t in texts if t["start_s"] < end_s and t["end_s"] > start_s) or None


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
