"""One exception for each thing a person can do about it.

RushesError                 every error that Rushes raises on purpose
+-- SpecError               the YAML, the call or the plan is wrong: change it                (exit 2)
|   +-- UnscreenedData      data without a valid screening receipt: screen it, or name it     (exit 2)
+-- InputRejected           one file or row cannot be used: it is quarantined, the run goes on
|   +-- Unreachable         its bytes cannot be had at present: tried again, then left for the next run
+-- KnownMaterial           one source holds material of a list: it is sealed, the run goes on
+-- TooManyQuarantined      more rows than `quarantine.max_share` could not be used           (exit 3)
+-- CaptionsMismatched      captions fit their clips less often than `caption.match.min_rate`  (exit 4)
+-- StageCrashed            workers cannot be started, or die outside of any row              (exit 1)
+-- StorageError            the store cannot be read or written: free space, restore a part   (exit 74)
+-- Interrupted             Ctrl-C or SIGTERM: run again to go on                             (exit 130, 143)
"""

from __future__ import annotations

import difflib
from typing import Any

__all__ = [
    "CaptionsMismatched", "InputRejected", "Interrupted", "KnownMaterial", "RushesError", "SpecError", "StageCrashed",
    "StorageError", "Terminated", "TooManyQuarantined", "Unreachable", "UnscreenedData",
]  # fmt: skip


class RushesError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class SpecError(RushesError):
    """The spec, the call or the plan is wrong; the message says what to change."""

    exit_code = 2
    key: tuple[str, ...] = ()  # where in the spec, when a plan finds it


class UnscreenedData(SpecError):
    """Training data has no valid screening receipt; the message says what to do."""


class InputRejected(RushesError):
    """One file or row cannot be used. `reason` is a short code such as ``decode:no_frames``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unreachable(InputRejected):
    """The bytes of a row cannot be had at present (a lost mount, an I/O error). It says nothing about the row."""


class KnownMaterial(RushesError):
    """A source holds material of a list. It is caught where the source is read, and becomes an incident."""

    def __init__(self, match: object) -> None:
        super().__init__("the source holds material of a list of known hashes")
        self.match = match


class TooManyQuarantined(RushesError):
    """More rows than `quarantine.max_share` are quarantined: nothing is exported or trained."""

    exit_code = 3


class CaptionsMismatched(RushesError):
    """Captions fit their own clips less often than the spec asks: nothing is exported or trained."""

    exit_code = 4


class StageCrashed(RushesError):
    """Worker processes cannot be started, or end when no row is in their hands."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class StorageError(RushesError):
    """The store cannot be read or written (disk full, damaged part)."""

    exit_code = 74


class Interrupted(RushesError):
    """A person or a scheduler stopped the run; what was committed is kept."""

    def __init__(self, message: str, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a scheduler sends it before it takes the machine: like Ctrl-C, with its own exit code."""

    exit_code = 143


# Pydantic's own words in the place of a fault: of the key of a mapping, and of one kind of number among several.
_PYDANTICS = frozenset({"[key]", "constrained-float"})


def nearest(name: str, known: tuple[str, ...] | list[str]) -> str:
    """The three known names nearest to a wrong one, as the end of an error sentence."""
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.4) or sorted(known)[:3]
    return f"nearest: {', '.join(close)}" if close else "there are none"


def known_keys(kind: Any, value: Any) -> Any:
    """Refuse keys that a model of pydantic does not have, with their neighbours; other values are left as they are."""
    if isinstance(value, dict):
        known = [field.alias or name for name, field in kind.model_fields.items()]
        for key in value:
            if key not in known and key not in kind.model_fields:
                raise ValueError(f"unknown key {key!r}; {nearest(str(key), known)}")
    return value


def first_fault(error: Any) -> tuple[tuple[int | str, ...], str]:
    """Where the first fault of a ValidationError lies, and what is wrong: where a model of its own read, in there."""
    place: tuple[int | str, ...] = ()
    while True:
        first = error.errors()[0]
        place += tuple(part for part in first["loc"] if part not in _PYDANTICS)
        inner = first.get("ctx", {}).get("error")
        if not isinstance(inner, type(error)):
            return place, first["msg"].removeprefix("Value error, ")
        error = inner
