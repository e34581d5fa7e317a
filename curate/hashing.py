"""Hashing sources once: size and time are remembered in OUT/hashes.json, and when they change the hash decides.

The memory is written while hashing goes on, so that an interrupted run keeps what it has read.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, BinaryIO, cast

from curate import ids
from curate.errors import InputRejected, StorageError
from curate.files import open_url, rejecting, stat_url
from curate.store import write_atomic

_THREADS = 4  # sha256 leaves the interpreter lock, and a disk or network likes a few readers
_SAVE_FILES = 256
_SAVE_SECONDS = 30.0
# The memory is one file: with millions of sources, writing it may take this share of the time and no more.
_SAVE_SHARE = 0.1


def source_ids(urls: Iterable[str], memory_path: Path) -> dict[str, str | InputRejected]:
    """The source id of every url, or why it has none.

    Raises:
        StorageError: the memory is damaged or cannot be written.
    """
    hasher = _Hasher(memory_path)
    pool = ThreadPoolExecutor(_THREADS)
    try:
        futures = {pool.submit(hasher.look, url): url for url in dict.fromkeys(urls)}
        found: dict[str, str | InputRejected] = {}
        for future in as_completed(futures):
            found[futures[future]] = future.result()
            hasher.save_when_due()
        return found
    finally:
        # After Ctrl-C the files that are being read are left at their next block.
        hasher.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        hasher.save()


def forget(memory_path: Path, urls: set[str]) -> None:
    """Leave nothing of these urls in the memory; they are hashed anew whenever they are asked for."""
    if not urls or not memory_path.exists():
        return
    memory = json.loads(memory_path.read_bytes())
    if urls & memory.keys():
        kept = {url: said for url, said in memory.items() if url not in urls}
        write_atomic(memory_path, json.dumps(kept).encode(), replace=True)


class _Hasher:
    """The memory: url -> [size, stamp, source id]."""

    def __init__(self, path: Path) -> None:
        self.stop = threading.Event()
        self._path = path
        try:
            self._memory: dict[str, list[Any]] = json.loads(path.read_bytes()) if path.exists() else {}
        except ValueError as error:
            raise StorageError(f"{path} is damaged; remove it, and every file is hashed again: {error}") from error
        self._lock = threading.Lock()
        self._unsaved = 0
        self._saved_at, self._cost = time.monotonic(), 0.0

    def look(self, url: str) -> str | InputRejected:
        """The id of one file, hashed only when it is new or changed."""
        try:
            size, stamp = stat_url(url)
            known = self._memory.get(url)
            if stamp and known is not None and known[:2] == [size, stamp]:
                return str(known[2])
            with rejecting(url), open_url(url) as file:
                source = ids.source_id(cast("BinaryIO", _Stoppable(file, self.stop)))
        except InputRejected as error:
            return error
        with self._lock:
            self._memory[url] = [size, stamp, source]
            self._unsaved += 1
        return source

    def save_when_due(self) -> None:
        """Write the memory when enough was hashed, or long enough ago."""
        waited = time.monotonic() - self._saved_at
        if waited * _SAVE_SHARE >= self._cost and (self._unsaved >= _SAVE_FILES or waited >= _SAVE_SECONDS):
            self.save()

    def save(self) -> None:
        """Write the memory, if it holds anything new."""
        with self._lock:
            memory, unsaved, self._unsaved = dict(self._memory), self._unsaved, 0
        if unsaved:
            started = time.monotonic()
            write_atomic(self._path, json.dumps(memory).encode(), replace=True)
            self._saved_at = time.monotonic()
            self._cost = self._saved_at - started


class _Stoppable:
    """A file whose next read raises when the run stops."""

    def __init__(self, file: BinaryIO, stop: threading.Event) -> None:
        self._file, self._stop = file, stop

    def read(self, size: int = -1) -> bytes:
        """Read as the file does."""
        if self._stop.is_set():
            raise InputRejected("source:unreadable", "the run was stopped")
        return self._file.read(size)
