"""Lists of hashes of known material: reading them without trust, matching files and frames with them, writing them.

A list is a text file of ASCII lines, each ended by a newline:

    # rushes hash list 1
    # name: example
    # updated: 2026-11-01
    # entries: 3
    # digest: sha256 of the lines below, each with its newline, 64 hex digits
    sha256 <64 hex digits>                    of a file's bytes
    pdq <64 hex digits> [quality 0..100]      as `filters._pdq`
    phash <64 hex digits> [information]       as `filters.dedup.phash.hash_views`, 0..100 as `filters._frame_hashes`

The digest finds damage and careless edits; who must not be able to change a list is told by its sha256. The hash of an
entry never enters a message or a `Match`. A frame and an entry match only where both have content, see LEAST_*.
"""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from curate.errors import SpecError
from curate.ids import ID_LENGTH
from curate.store import write_atomic
from filters._frame_hashes import FrameHashes
from filters._hash_index import HashIndex
from filters._pdq import BYTES, LEAST_QUALITY, MAX_DISTANCE

HEADER = "# rushes hash list 1"
KINDS = ("sha256", "pdq", "phash")
_FIELDS = ("name", "updated", "entries", "digest")
_HEAD = 1 + len(_FIELDS)  # lines
_ENTRY = re.compile(rf"({'|'.join(KINDS)}) ([0-9a-f]{{64}})(?: (100|[1-9]?[0-9]))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,63}")
# Bits of 256 by which two perceptual hashes of one picture may differ. `benchmarks.known_hashes` measures both sides:
# cropped, dimmed and re-encoded copies, and the nearest of unrelated pictures, 83 bits and more.
PHASH_DISTANCE = 60
# Percent, see `_information` of `filters._frame_hashes`: titles reach 20, gradients 13, 99 of 100 frames of footage 37.
LEAST_INFORMATION = 25
LIMITS = {"pdq": MAX_DISTANCE, "phash": PHASH_DISTANCE}
LEAST = {"pdq": LEAST_QUALITY, "phash": LEAST_INFORMATION}


class Entry(NamedTuple):
    """One line of a list: kind, 64 hex digits, and for pdq its quality, for phash its information (None: trusted)."""

    kind: str
    text: str
    weight: int | None = None


@dataclass(frozen=True)
class Match:
    """What was found. `entry` counts the entries of its list from 0; `distance` is in bits of 256, 0 for a file."""

    kind: str
    list_name: str
    distance: int
    entry: int
    time_s: float | None = None


class Known(NamedTuple):
    """N entries of one kind that have content, and of each the numbers of its list and its place in it, (N, 2)."""

    index: HashIndex
    places: np.ndarray


@dataclass(frozen=True)
class HashLists:
    """Lists as `read_lists` gives them. Tuples have one value for each list; `sha256` is of its bytes.

    counts: entries of each list by kind; those without content among them, which match nothing.
    """

    names: tuple[str, ...]
    updated: tuple[date, ...]
    sha256: tuple[str, ...]
    counts: tuple[dict[str, int], ...]
    _files: dict[str, tuple[str, int, int]] = field(repr=False)
    _known: dict[str, Known] = field(repr=False)

    def matches_file(self, sha256_hex: str) -> Match | None:
        """Look a file up by its sha256, or by a source id, which is the first 32 hex digits of it."""
        if len(sha256_hex) not in (ID_LENGTH, 64):
            raise ValueError(f"a sha256 has 64 hex digits, a source id {ID_LENGTH}, not {len(sha256_hex)}")
        whole, number, place = self._files.get(sha256_hex[:ID_LENGTH].lower(), ("", 0, 0))
        if not whole.startswith(sha256_hex.lower()):
            return None
        return Match("sha256", self.names[number], 0, place)

    def matches_frames(self, hashes: FrameHashes) -> Match | None:
        """The nearest entry of any kind, by its distance as a share of the kind's limit; None if none is near."""
        informed = hashes.information >= LEAST_INFORMATION  # (T, P, V); a view is never above its whole picture
        good = (hashes.quality >= LEAST_QUALITY) & informed[..., 0]
        found = []
        for kind, values, usable in (("pdq", hashes.pdq, good), ("phash", hashes.views, informed)):
            known = self._known[kind]
            near = known.index.nearest(values[usable], LIMITS[kind])
            if near is not None:
                number, place = (int(value) for value in known.places[near.known])
                time_s = float(hashes.times_s[np.nonzero(usable)[0][near.row]])
                found.append(Match(kind, self.names[number], near.distance, place, time_s))
        return min(found, key=lambda match: match.distance / LIMITS[match.kind], default=None)


def read_lists(paths: Sequence[Path | str], max_age_days: int, today: date) -> HashLists:
    """Read and check lists; SpecError says of the first that cannot be trusted what to do about it."""
    read = [_read(Path(path), max_age_days, today) for path in paths]
    files: dict[str, tuple[str, int, int]] = {}
    for number, one in enumerate(read):
        for place in np.flatnonzero(one.kinds == KINDS.index("sha256")).tolist():
            text = one.hashes[place].tobytes().hex()
            files.setdefault(text[:ID_LENGTH], (text, number, place))
    return HashLists(
        names=tuple(one.name for one in read),
        updated=tuple(one.updated for one in read),
        sha256=tuple(one.sha256 for one in read),
        counts=tuple({kind: int((one.kinds == n).sum()) for n, kind in enumerate(KINDS)} for one in read),
        _files=files,
        _known={kind: _known(kind, read) for kind in LEAST},
    )


class _List(NamedTuple):
    """A list of N entries: kinds (N,) uint8 as numbers in KINDS, hashes (N, 32) uint8, weights (N,), -1 for none."""

    name: str
    updated: date
    sha256: str
    kinds: np.ndarray
    hashes: np.ndarray
    weights: np.ndarray


def _known(kind: str, read: Sequence[_List]) -> Known:
    """The entries of a kind that have content."""
    hashes, places = [np.empty((0, BYTES), np.uint8)], [np.empty((0, 2), np.int64)]
    for number, one in enumerate(read):
        telling = (one.weights < 0) | (one.weights >= LEAST[kind])
        place = np.flatnonzero((one.kinds == KINDS.index(kind)) & telling)
        hashes.append(one.hashes[place])
        places.append(np.stack([np.full(len(place), number), place], axis=1))
    return Known(HashIndex(np.concatenate(hashes)), np.concatenate(places))


def _read(path: Path, max_age_days: int, today: date) -> _List:
    """One list, checked: header, age, count and digest, and each line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise SpecError(f"the hash list {path} does not exist; name the file that its provider gave you") from error
    except OSError as error:
        raise SpecError(f"the hash list {path} cannot be read: {error.strerror}; mend that and start again") from error
    if not data:
        raise SpecError(f"the hash list {path} is empty; get it again from its provider")
    lines = data.split(b"\n", _HEAD)
    if lines[0] != HEADER.encode():
        raise SpecError(f"{path} does not begin with `{HEADER}`; write hash lists with `write_list`")
    head = _head(path, [line.decode("ascii", errors="replace") for line in lines[1:_HEAD]])
    body = lines[_HEAD] if len(lines) > _HEAD else b""
    updated = _day(path, head["updated"])
    if updated > today:
        raise SpecError(f"the hash list {path} is of {updated}, which is after {today}: set the clock, or get it again")
    if (today - updated).days > max_age_days:
        age = (today - updated).days
        raise SpecError(f"the hash list {path} is {age} days old, at most {max_age_days} are allowed; get a newer one")
    kinds, hashes, weights = bytearray(), bytearray(), array("b")  # a million entries as objects would take 600 MB
    for kind, text, weight in _entries(path, body):
        kinds.append(KINDS.index(kind))
        hashes += bytes.fromhex(text)
        weights.append(-1 if weight is None else weight)
    if str(len(kinds)) != head["entries"]:
        raise SpecError(f"the hash list {path} has {len(kinds)} entries and says {head['entries']:.20}; get it again")
    if hashlib.sha256(body).hexdigest() != head["digest"]:
        raise SpecError(f"the digest of the hash list {path} does not fit its entries: they were changed; get it again")
    arrays = np.frombuffer(kinds, np.uint8), np.frombuffer(hashes, np.uint8).reshape(-1, BYTES)
    return _List(head["name"], updated, hashlib.sha256(data).hexdigest(), *arrays, np.array(weights, np.int8))


def _head(path: Path, lines: Sequence[str]) -> dict[str, str]:
    """Values of the header by their names."""
    head: dict[str, str] = {}
    for number, name in enumerate(_FIELDS):
        line = lines[number] if number < len(lines) else ""
        mark, value = f"# {name}: ", line.partition(": ")[2]
        if not line.startswith(mark) or not value:
            raise SpecError(f"line {number + 2} of the hash list {path} must be `{mark}...`; use `write_list`")
        head[name] = value
    if not _NAME.fullmatch(head["name"]):
        raise SpecError(f"line 2 of the hash list {path}: a name is 1 to 64 letters, digits, spaces, . _ -; mend it")
    return head


def _day(path: Path, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise SpecError(f"line 3 of the hash list {path} must hold a date as 2026-11-01; get the list again") from error


def _entries(path: Path, body: bytes) -> Iterator[Entry]:
    """The entries in what follows the header."""
    if body and not body.endswith(b"\n"):
        raise SpecError(f"the hash list {path} ends within a line; it was cut off: get it again")
    for number, line in enumerate(body.decode("ascii", errors="replace").split("\n")[:-1], _HEAD + 1):
        found = _ENTRY.fullmatch(line)
        if found is None:
            kind = line.partition(" ")[0]
            said = f"is of no kind among {', '.join(KINDS)}" if kind not in KINDS else "must be a kind, 64 hex digits"
            more = "" if kind not in KINDS or kind == "sha256" else " and at most a number from 0 to 100"
            raise SpecError(f"line {number} of the hash list {path} {said}{more}; mend or remove it")
        kind, text, weight = found.groups()
        if kind == "sha256" and weight is not None:
            raise SpecError(f"line {number} of the hash list {path}: nothing follows a sha256; mend or remove it")
        yield Entry(kind, text, None if weight is None else int(weight))


def write_list(path: Path, name: str, entries: Sequence[Entry], today: date) -> None:
    """Write a list, whole or not at all. SpecError for a name or an entry that `read_lists` would refuse."""
    if not _NAME.fullmatch(name):
        raise SpecError(f"{name!r} names no hash list: 1 to 64 letters, digits, spaces and . _ - are allowed")
    body = "".join(
        f"{kind} {text}\n" if weight is None else f"{kind} {text} {weight}\n" for kind, text, weight in entries
    ).encode()
    if sum(1 for _ in _entries(Path(path), body)) != len(entries):
        raise SpecError(f"the hash list {path} would not hold one entry a line: no entry may hold an end of line")
    digest = hashlib.sha256(body).hexdigest()
    head = f"{HEADER}\n# name: {name}\n# updated: {today}\n# entries: {len(entries)}\n# digest: {digest}\n"
    write_atomic(Path(path), head.encode() + body, replace=True)
