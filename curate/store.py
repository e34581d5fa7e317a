"""The store: Parquet parts that a numbered manifest lists. A file that no manifest lists does not exist.

    OUT/manifest/0000000042.json                      {"parts": [{table, path, sha256, rows}], "all": false}
                                                      and, rarely, "withdrawn": {path: [id]}, "removed": [path]
    OUT/stages/<stage>-<key>/part-<sha256[:16]>.parquet

Workers write parts, only a driver commits them, by creating the next manifest number if it is absent (a hard link:
exactly one writer succeeds, on every file system that has links). A driver that loses a number reads on and tries the
next. Readers take the first commit of a (stage, id), so doubled work is harmless. No correctness rests on a lock.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curate.durable import sync_dir
from curate.errors import StorageError
from curate.schema import is_operational

_CHECKPOINT_EVERY = 100  # a manifest that lists everything, so that readers never read more than 100 files
_UMASK = os.umask(0)  # it can only be read by setting it
os.umask(_UMASK)
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Part:
    """One Parquet file of a table `<stage>-<key>`; `path` is relative to the output folder."""

    table: str
    path: str
    sha256: str
    rows: int


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a full disk or a refused write into a StorageError that names the path."""
    try:
        yield
    except OSError as error:
        what = "no space left" if error.errno in FULL else f"{error.strerror or error}"
        raise StorageError(
            f"cannot write {path}: {what}; free space or choose another output, then run again"
        ) from error


def write_atomic(path: Path, data: bytes, *, replace: bool) -> bool:
    """Write a file so that it appears whole or not at all.

    With `replace` an existing file is replaced; otherwise the call returns False when the file is there already.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
        try:
            os.fchmod(handle, 0o666 & ~_UMASK)  # mkstemp's own mode would shut out everybody else
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(temporary, path)
            else:
                os.link(temporary, path)
            sync_dir(path.parent)
            return True
        except FileExistsError:
            if replace:
                raise
            return False
        finally:
            if os.path.exists(temporary):
                os.unlink(temporary)


def remove_litter(out: Path) -> None:
    """Delete temporary files that killed writers left an hour ago or earlier: a living one is done by then."""
    before = time.time() - 3600
    for folder in (out, out / "manifest", *(out / "stages").glob("*")):
        for path in folder.glob(".tmp-*"):
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink(missing_ok=True)


class Store:
    """Reads and commits the parts under one output folder."""

    def __init__(self, out: Path) -> None:
        self.out = Path(out)
        self._parts: dict[str, list[Part]] = defaultdict(list)
        self._listed: set[str] = set()
        self._withdrawn: dict[str, set[str]] = {}  # part -> ids that are to be made again
        self._next = 0
        self.refresh()

    # -- manifests ---------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the manifests that were committed since the last look."""
        present = {int(path.stem) for path in (self.out / "manifest").glob("[0-9]*.json")}
        numbers = sorted(number for number in present if number >= self._next)
        if self._next == 0 and numbers:  # start at the newest manifest that lists everything
            whole = [n for n in numbers if n % _CHECKPOINT_EVERY == 0 and n > 0]
            numbers = [n for n in numbers if n >= whole[-1]] if whole else numbers
        if numbers and self._next == 0:
            self._next = numbers[0]
        for number in numbers:
            if number != self._next:
                break  # a listing may miss a file that is being made: what lies behind a gap is read with the gap
            self._apply(self._load(number))
            self._next = number + 1

    def _load(self, number: int) -> dict:
        path = self._manifest_path(number)
        try:
            return json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise StorageError(f"manifest {path} cannot be read: {error}") from error

    def _manifest_path(self, number: int) -> Path:
        return self.out / "manifest" / f"{number:010d}.json"

    def _apply(self, manifest: dict) -> None:
        removed = set(manifest.get("removed", ()))
        self._listed -= removed
        for table in self._parts if removed else ():
            self._parts[table] = [part for part in self._parts[table] if part.path not in removed]
        for entry in manifest["parts"]:
            part = Part(**entry)
            if part.path not in self._listed:
                self._listed.add(part.path)
                self._parts[part.table].append(part)
            self._withdrawn.pop(part.path, None)  # listed again: its rows came out the same
        for path, ids in manifest.get("withdrawn", {}).items():
            self._withdrawn.setdefault(path, set()).update(ids)

    def commit(self, parts: Sequence[Part]) -> None:
        """List new parts in the next manifest; on a lost number read on and try the next."""
        self._commit(parts, {}, [])

    def withdraw(self, table: str, ids: set[str]) -> None:
        """Take the present rows of these ids back, so that a run makes them again."""
        self._commit([], {part.path: sorted(ids) for part in self.parts(table)}, [])

    def replace(self, part: Part, rows: pa.Table) -> None:
        """Put fewer rows in the place of a part's, and delete its file."""
        self._commit([self.write_part(part.table, rows)], {}, [part.path])
        (self.out / part.path).unlink(missing_ok=True)

    def remove(self, paths: Sequence[str]) -> None:
        """Take damaged parts off the list, so that a run makes their rows again."""
        self._commit([], {}, list(paths))

    def _commit(self, parts: Sequence[Part], withdrawn: dict[str, list[str]], removed: list[str]) -> None:
        while True:
            fresh = [part for part in parts if part.path not in self._listed or part.path in self._withdrawn]
            if not fresh and not withdrawn and not removed:
                return
            number = self._next
            whole = number > 0 and number % _CHECKPOINT_EVERY == 0
            gone, made = set(removed), {part.path for part in fresh}
            live = [part for table in self._parts.values() for part in table if part.path not in gone | made]
            manifest: dict = {"all": whole, "parts": [asdict(part) for part in [*(live if whole else ()), *fresh]]}
            # Withdrawals outlive a manifest that lists everything, but not the making of their part again.
            taken = {path: sorted(ids) for path, ids in self._withdrawn.items() if path not in made} if whole else {}
            if taken or withdrawn:
                manifest["withdrawn"] = {**taken, **{p: sorted({*taken.get(p, ()), *i}) for p, i in withdrawn.items()}}
            if removed:
                manifest["removed"] = removed
            data = json.dumps(manifest, separators=(",", ":")).encode()
            if write_atomic(self._manifest_path(number), data, replace=False):
                self._apply(manifest)
                self._next = number + 1
                return
            self.refresh()

    # -- parts -------------------------------------------------------------------------------------------------

    def write_part(self, table: str, rows: pa.Table) -> Part:
        """Write rows as a part that no manifest lists yet; equal rows give the same file."""
        import pyarrow.parquet as pq

        folder = self.out / "stages" / table
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd", store_schema=True)
        data = sink.getvalue().to_pybytes()
        digest = hashlib.sha256(data).hexdigest()
        write_atomic(path := folder / f"part-{digest[:16]}.parquet", data, replace=True)
        return Part(table, str(path.relative_to(self.out)), digest, rows.num_rows)

    def parts(self, table: str) -> list[Part]:
        """The live parts of a table, in the order of their commit."""
        return list(self._parts.get(table, ()))

    def tables(self) -> list[str]:
        """Names of all tables that have a live part."""
        return sorted(self._parts)

    def read(self, table: str, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of a table, the first commit of each id, in the order of their commit."""
        names = list(columns) if columns is not None else schema.names
        wanted = pa.schema([schema.field(name) for name in names])
        pieces = []
        for part in self.parts(table):
            try:
                pieces.append(self.standing(part, read_columns(self.out / part.path, names), names[0]))
            except (OSError, pa.ArrowException) as error:
                raise StorageError(f"part {part.path} cannot be read ({error}); see: rushes verify") from error
        if not pieces:
            return wanted.empty_table()
        return _first_of_each(pa.concat_tables(pieces).cast(wanted), names[0])

    def standing(self, part: Part, rows: pa.Table, key: str) -> pa.Table:
        """The rows of a part that nobody has withdrawn."""
        gone = self._withdrawn.get(part.path)
        if not gone:
            return rows
        return rows.filter(pc.invert(pc.is_in(rows[key], value_set=pa.array(sorted(gone), pa.string()))))

    def digest(self, table: str, schema: pa.Schema, ids: set[str]) -> str:
        """Digest of the rows of these ids, operational columns left out (DESIGN 6); one part at a time in memory."""
        names = [field.name for field in schema if not is_operational(field)]
        found: dict[str, str] = {}
        for part in self.parts(table):
            rows = self.standing(part, read_columns(self.out / part.path, names), names[0])
            rows = rows.filter(pc.is_in(rows[names[0]], value_set=pa.array(sorted(ids), pa.string())))
            for key, digest in zip(rows[names[0]].to_pylist(), _row_digests(rows, names), strict=True):
                found.setdefault(key, digest)
        return _digest_of(found.items())

    # -- checks ------------------------------------------------------------------------------------------------

    def verify(self) -> dict[str, str]:
        """Compare every live part with its manifest; what is wrong with each one that is damaged or gone, by path."""
        faults = {}
        for table in self.tables():
            for part in self.parts(table):
                path = self.out / part.path
                if not path.exists():
                    faults[part.path] = "is missing"
                elif hashlib.sha256(path.read_bytes()).hexdigest() != part.sha256:
                    faults[part.path] = "differs from its manifest"
        return faults


def read_columns(path: Path, columns: Sequence[str]) -> pa.Table:
    """Columns of one Parquet file, in the order asked; nothing is inferred from its path."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read(columns=list(columns)).select(list(columns))


def _first_of_each(rows: pa.Table, key: str) -> pa.Table:
    """Keep the first row of every key, in order."""
    if rows.num_rows == 0 or pc.count_distinct(rows[key]).as_py() == rows.num_rows:
        return rows
    numbered = rows.select([key]).append_column("_row", pa.array(range(rows.num_rows), pa.int64()))
    first = numbered.group_by(key).aggregate([("_row", "min")])["_row_min"]
    return rows.take(pc.take(first, pc.sort_indices(first)))


def _row_digests(rows: pa.Table, names: Sequence[str]) -> list[str]:
    """sha256 of each row's named columns; heavy columns may be of any size, rows are taken a few at a time."""
    digests = []
    for batch in rows.select(sorted(names)).to_batches(max_chunksize=256):
        for row in batch.to_pylist():
            digests.append(hashlib.sha256(json.dumps(row, sort_keys=True, default=_plain).encode()).hexdigest())
    return digests


def rows_digest(rows: pa.Table, names: Sequence[str], key: str) -> str:
    """sha256 over the named columns of rows sorted by `key`; chunks and the order of rows do not matter."""
    return _digest_of(zip(rows[key].to_pylist(), _row_digests(rows, names), strict=True))


def _digest_of(rows: Iterable[tuple[str | None, str]]) -> str:
    ordered = sorted((key or "", digest) for key, digest in rows)
    return hashlib.sha256(json.dumps(ordered).encode()).hexdigest()


def _plain(value: object) -> str:
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    raise TypeError(f"no digest for {type(value)}")


def align(rows: pa.Table, key: str, ids: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Rows in the order of `ids`; an id without a row gives nulls."""
    wide = [field.with_type(pa.large_binary()) if pa.types.is_binary(field.type) else field for field in rows.schema]
    rows = rows.cast(pa.schema(wide))  # a column of more than 2 GiB cannot be taken from otherwise
    place = pc.index_in(ids, value_set=rows[key].combine_chunks())
    return rows.take(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place)


def ids_of(rows: pa.Table, key: str) -> set[str]:
    """The ids of a table as a set."""
    return set(rows[key].to_pylist())
