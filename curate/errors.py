"""One exception for each thing a person can do about it.

RushesError                 every error that Rushes raises on purpose
+-- SpecError               the YAML, the call or the plan is wrong: change it          (exit 2)
|   +-- UnscreenedData      data without a valid screening receipt: screen it, or name it (exit 2)
+-- InputRejected           one file or row cannot be used: it is quarantined, the run goes on
+-- StageCrashed            a worker process died or ran out of time on a row          (quarantine)
+-- Interrupted             Ctrl-C: run again to go on                                 (exit 130)
+-- StorageError            the store cannot be read or written: free space, restore a part (exit 74)
"""

from __future__ import annotations

__all__ = ["InputRejected", "Interrupted", "RushesError", "SpecError", "StageCrashed", "StorageError", "UnscreenedData"]


class RushesError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line ends with."""

    exit_code = 1


class SpecError(RushesError):
    """The spec, the call or the plan is wrong; the message says what to change."""

    exit_code = 2


class UnscreenedData(SpecError):
    """Training data has no valid screening receipt; the message says what to do."""


class InputRejected(RushesError):
    """One file or row cannot be used. `reason` is a short code such as ``decode:no_frames``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class StageCrashed(RushesError):
    """A worker process ended or ran out of time while it worked on a row."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class StorageError(RushesError):
    """The store cannot be read or written (disk full, damaged part)."""

    exit_code = 74


class Interrupted(RushesError):
    """A person stopped the run; what was committed is kept."""

    exit_code = 130
