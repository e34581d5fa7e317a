"""Rows of an export's Parquet shards, a row group at a time: what the reader keeps, and how it is read and checked."""

from __future__ import annotations

import bisect
import hashlib
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curate.codecs.bf16 import float32_from_bf16
from curate.errors import InputRejected, RushesError, StorageError
from curate.files import is_local, open_url, rejecting, stat_url

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData, ParquetFile

Arrays = list[np.ndarray]
_HASH_BLOCK = 1 << 20
_OPEN_FILES = 4  # of each thread: an epoch's order of a large dataset stays in few shards at a time


class GroupCache:
    """Least recently used row groups, bounded by the bytes of their arrays. Safe for threads.

    Of threads that want the same group, one reads it and the others wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, int], Future[Arrays]] = OrderedDict()

    def get(self, key: tuple[str, int], read: Callable[[], Arrays]) -> Arrays:
        """Return a group, read by the caller where it is not held. Raises what `read` raises; then nothing is held."""
        with self._lock:
            held = self._held.get(key)
            if held is None:
                mine = self._held[key] = Future()
            else:
                self._held.move_to_end(key)
        if held is not None:
            return held.result()
        try:
            group = read()
        except BaseException as error:
            with self._lock:
                del self._held[key]
            mine.set_exception(error)
            raise
        mine.set_result(group)
        with self._lock:
            self._bytes += _bytes(group)
            self._drop()
        return group

    def _drop(self) -> None:
        """Drop the oldest groups that are read, but the newest, until the rest is within the limit."""
        for key in list(self._held)[:-1]:
            if self._bytes <= self._limit:
                return
            if self._held[key].done():
                self._bytes -= _bytes(self._held.pop(key).result())


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """What a damaged shard or its file system raises, of whatever tree, is a StorageError that names the shard."""
    try:
        yield
    except (RushesError, MemoryError):
        raise
    except Exception as error:
        said = str(error).partition("\n")[0][:200] or type(error).__name__
        raise StorageError(f"{path} cannot be read ({said}): restore it, or export again") from error


def _bytes(group: Arrays) -> int:
    return sum(array.nbytes for array in group)


class ShardRows:
    """Rows of one kind over several Parquet files; `payload` is the bf16 column, described by `shape`.

    Threads do not share open files.
    """

    def __init__(self, root: str, shards: list[dict[str, Any]], payload: str, cache: GroupCache, verify: bool) -> None:
        self._payload, self._cache = payload, cache
        self._paths = [f"{root.rstrip('/')}/{shard['path']}" for shard in shards]
        self._sha256 = [shard["sha256"] for shard in shards]
        self._checked = [not verify] * len(shards)
        self._locks = [threading.Lock() for _ in shards]
        self._open = threading.local()
        self._footers: list[FileMetaData] = []
        self._groups: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self.rows = 0
        for number, shard in enumerate(shards):
            self._check_size(number, shard["bytes"])
            with _reading(self._paths[number]):
                footer = self._opened(number).metadata
                counts = [footer.row_group(group).num_rows for group in range(footer.num_row_groups)]
            self._footers.append(footer)
            for group, count in enumerate(counts):
                self._groups.append((number, group))
                self._starts.append(self.rows)
                self.rows += count

    def _check_size(self, number: int, size: int) -> None:
        try:
            found = stat_url(self._paths[number])[0]
        except InputRejected:
            found = None
        if found is None or found not in (size, -1):  # -1: a web server that does not say
            raise StorageError(f"{self._paths[number]} is missing or has another size than when it was exported")

    def _opened(self, number: int) -> ParquetFile:
        """Return a file that is open for this thread alone; each thread keeps a few."""
        held = self._open.__dict__.setdefault("files", OrderedDict())
        file = held.pop(number, None) or self._parquet(number)
        held[number] = file
        if len(held) > _OPEN_FILES:
            held.popitem(last=False)[1].close(force=True)
        return file

    def _parquet(self, number: int, by_page: bool = False) -> ParquetFile:
        """Open a file; by_page: whose pages are held against their checksums, where they have some."""
        import pyarrow.parquet as pq

        path, footer = self._paths[number], None if number >= len(self._footers) else self._footers[number]
        if is_local(path):
            return pq.ParquetFile(path, metadata=footer, memory_map=True, page_checksum_verification=by_page)
        try:
            # Only the wanted columns' ranges are fetched, each as one.
            return pq.ParquetFile(open_url(path), metadata=footer, pre_buffer=True, page_checksum_verification=by_page)
        except InputRejected as error:
            raise StorageError(f"{path} cannot be read: {error}") from error

    def metadata(self) -> dict[str, list[Any]]:
        """Return all columns but the payload, as lists. Raises StorageError where they cannot be read.

        To hash whole shards for them would read the payload: a page's checksum stands for the file's until it is used.
        """
        parts: list[pa.Table] = []
        for number, path in enumerate(self._paths):
            with _reading(path):
                file = self._parquet(number, by_page=True)
                try:
                    parts.append(file.read(columns=[n for n in file.schema_arrow.names if n != self._payload]))
                finally:
                    file.close(force=True)
                parts[-1].validate(full=True)
            if parts[-1].schema != parts[0].schema or not {self._payload, "shape"} <= set(file.schema_arrow.names):
                raise StorageError(f"{path} has other columns than when it was exported: restore it, or export again")
        if not parts:
            return {}
        table = pa.concat_tables(parts)
        return {name: table[name].to_pylist() for name in table.column_names}

    def group_of(self, row: int) -> int:
        """Return the number of a row's row group. Raises IndexError."""
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row} of {self.rows}")
        return bisect.bisect_right(self._starts, row) - 1

    def load(self, group: int) -> Arrays:
        """Return the arrays of a row group, bf16 bits (uint16), and keep them."""
        file, place = self._groups[group]
        return self._cache.get((self._paths[file], place), lambda: self._read(file, place))

    def array(self, row: int, arrays: Arrays | None = None) -> np.ndarray:
        """Return the payload of one row as float32; `arrays` are its row group's, where they are at hand."""
        group = self.group_of(row)
        return float32_from_bf16((arrays or self.load(group))[row - self._starts[group]])

    def _read(self, number: int, group: int) -> Arrays:
        self._verify(number)
        # One heavy column: more threads of pyarrow would only wait for each other.
        with _reading(self._paths[number]):
            table = self._opened(number).read_row_group(group, columns=[self._payload, "shape"], use_threads=False)
        arrays = []
        for cell, shape in zip(table[self._payload], table["shape"].to_pylist(), strict=True):
            data = cell.as_buffer()
            size = 0 if data is None else data.size
            if data is None or size != 2 * math.prod(shape):
                raise StorageError(f"{self._paths[number]}: {size} bytes do not fit the shape {shape} in bfloat16")
            arrays.append(np.frombuffer(data, "<u2").reshape(shape))  # a view: nothing is copied
        return arrays

    def _verify(self, number: int) -> None:
        """Compare a shard's sha256 with the card's, once. Raises StorageError."""
        with self._locks[number]:
            if self._checked[number]:
                return
            digest, path = hashlib.sha256(), self._paths[number]
            try:
                with rejecting(path), open_url(path) as file:
                    while block := file.read(_HASH_BLOCK):
                        digest.update(block)
            except InputRejected as error:
                raise StorageError(f"{path} cannot be read: {error}") from error
            if digest.hexdigest() != self._sha256[number]:
                raise StorageError(f"{path} is not what was exported (sha256): restore it, or export again")
            self._checked[number] = True
