"""The child process that runs stage code. It is disposable: it may crash, hang or eat memory without loss.

It dies with its supervisor (PR_SET_PDEATHSIG), ignores Ctrl-C (the driver decides), limits its own memory, and keeps
its message pipe apart from stdout, so that code which prints cannot damage it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import time
import traceback
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curate.beating import beating
from curate.errors import InputRejected, StageCrashed, StorageError, Unreachable
from curate.stage import Fault, Left
from curate.store import FULL
from curate.wire import Closed, Wire

_PR_SET_PDEATHSIG = 1
_FLUSH_BYTES = 64 * 1024 * 1024  # a part is written when its rows weigh this much: memory stays bounded
_ALIVE_EVERY_S = 1.0
# A lost mount or a busy server comes back in seconds or not soon: two more tries, then the next run has its turn.
_UNREACHABLE_RETRIES, _UNREACHABLE_PAUSE_S = 2, 1.0


def confine(memory_gib: float | None, parent: int) -> None:
    """Tie the process to its parent and cap what it may take; None: as much as there is."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the call above
            os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if memory_gib is not None:
        limit = int(memory_gib * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Child:
    """Runs shards for one supervisor."""

    def __init__(self, wire: Wire, init: dict[str, Any]) -> None:
        from curate import models
        from curate.plan import Plan
        from curate.spec_file import parse
        from curate.store import Store

        self.wire = wire
        models.trust(init["digests"])
        self.plan = Plan(parse(init["spec"]))
        self.store = Store(Path(init["out"]))
        self._works: dict[str, Any] = {}
        self._last_alive = 0.0

    def work(self, name: str) -> Any:
        """The work of this name, set up once."""
        from curate.stages import make_work

        if name not in self._works:
            self._works[name] = make_work(name, self.plan, self.store)
        return self._works[name]

    def alive(self) -> None:
        """Tell the supervisor, at most once a second, that a row makes progress."""
        now = time.monotonic()
        if now - self._last_alive >= _ALIVE_EVERY_S:
            self._last_alive = now
            self.wire.send({"alive": True})

    def shard(self, message: dict[str, Any]) -> dict[str, Any]:
        """Run one shard; return its parts, and its rows with what was added, for the next work.

        Rows with a known fault are written down, not run; rows that went wrong are not passed on.
        """
        self._rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self._bytes = 0
        self._parts: list[dict[str, Any]] = []
        self._added: dict[str, dict[str, Any]] = {}
        self._bad: set[str] = set()
        self._batch: list[str] = []
        work = self.work(message["work"])
        self._passes_on = work.passes_on
        known = {name: Fault(**fault) for name, fault in message["faults"].items()}
        alone = set(message["alone"])
        attempts = message["attempts"]
        rows = [row for row in message["rows"] if message["work"] in row["need"]]
        healthy = [row for row in rows if row["id"] not in known and row["id"] not in alone]
        batches = [healthy[i : i + work.batch_rows] for i in range(0, len(healthy), work.batch_rows)]
        batches += [[row] for row in rows if row["id"] in alone and row["id"] not in known]
        for batch in batches:
            self._run(work, batch, attempts)
        for row in rows:
            if row["id"] in known:
                for stage, result in work.fault(row, known[row["id"]]):
                    self._emit(stage, {**result, "attempts": known[row["id"]].attempts})
        self._batch = []
        self.wire.send({"begin": []})  # from here on nobody can be blamed
        self._flush()
        passed = [{**row, **self._added.get(row["id"], {})} for row in message["rows"] if row["id"] not in self._bad]
        return {"parts": self._parts, "rows": passed if work.passes_on else []}

    def _run(self, work: Any, batch: list[dict[str, Any]], attempts: dict[str, int]) -> None:
        """Run a batch; when it raises, run its rows one by one, and write the guilty one's fault down."""
        self._batch = [row["id"] for row in batch]
        self.wire.send({"begin": self._batch})
        start = time.monotonic()
        results: list[tuple[str, dict[str, Any]]] = []
        try:
            for result in work.run(batch, self.alive):
                if isinstance(result, Left):
                    self._leave(result, batch)
                    continue
                results.append(result)
                if len(batch) == 1:  # nothing can be taken back, so a long film need not be held in memory
                    self._emit_all(work, results, batch, start, attempts)
                    results.clear()
            self._emit_all(work, results, batch, start, attempts)
        except (StorageError, StageCrashed, Closed):  # nothing that another row would fare better with
            raise
        except Unreachable as error:
            self._again(work, batch, attempts, error)
        except MemoryError:
            self._blame(
                work, batch, attempts, Fault("limit:memory", "the row needs more than engine.limits.memory_gib")
            )
        except OSError as error:
            if error.errno in FULL:  # the spool's disk, or one that a stage writes to: no row is to blame
                raise StorageError(f"no space left for temporary files ({error}); free space or set TMPDIR") from error
            self._blame(work, batch, attempts, Fault("stage:error", f"{type(error).__name__}: {error}"))
        except InputRejected as error:
            self._blame(work, batch, attempts, Fault(error.reason, error.detail))
        except Exception as error:  # noqa: BLE001 stage code may raise anything; it is recorded in its row
            last = traceback.extract_tb(error.__traceback__)[-1]
            detail = f"{type(error).__name__}: {error} ({Path(last.filename).name}:{last.lineno})"
            self._blame(work, batch, attempts, Fault("stage:error", detail))

    def _again(self, work: Any, batch: list[dict[str, Any]], attempts: dict[str, int], error: Unreachable) -> None:
        """Try rows whose bytes could not be had once more, later; then leave them without a row, for the next run."""
        if len(batch) > 1:
            for row in batch:
                self._run(work, [row], attempts)
            return
        name = batch[0]["id"]
        tried = attempts.get(name, 0) + 1
        if tried <= _UNREACHABLE_RETRIES:
            time.sleep(_UNREACHABLE_PAUSE_S * tried)
            self._run(work, batch, {**attempts, name: tried})
            return
        self._leave(Left(name, str(error)), batch)

    def _leave(self, left: Left, batch: list[dict[str, Any]]) -> None:
        """Note that a row has no result and is nobody's fault."""
        self._bad.add(left.id)
        url = next((row.get("url") for row in batch if row["id"] == left.id), None)
        print(f"{url or left.id}: {left.detail}; left for the next run", file=sys.stderr)

    def _blame(self, work: Any, batch: list[dict[str, Any]], attempts: dict[str, int], fault: Fault) -> None:
        if len(batch) > 1:
            for row in batch:
                self._run(work, [row], attempts)
            return
        for stage, result in work.fault(batch[0], fault):
            self._emit(stage, {**result, "attempts": attempts.get(batch[0]["id"], 0) + 1})

    def _emit_all(
        self,
        work: Any,
        results: list[tuple[str, dict[str, Any]]],
        batch: list[dict[str, Any]],
        start: float,
        attempts: dict[str, int],
    ) -> None:
        seconds = (time.monotonic() - start) / len(batch)
        from curate.schema import rows_to_table

        tried = max((attempts.get(row["id"], 0) for row in batch), default=0) + 1
        unfit: dict[str, Fault] = {}
        for stage, row in results if self._passes_on else ():
            try:
                rows_to_table([row], self.plan.tables[stage].schema)
            except Exception as error:
                if "clip_id" not in row:
                    raise  # of a source, whose rows stand and fall together: `_run` writes it down
                unfit[row["clip_id"]] = Fault("stage:error", f"{type(error).__name__}: {error}")
        for stage, row in results:
            if row.get("clip_id") not in unfit:
                self._emit(stage, {"attempts": tried, "seconds": seconds, **row})
        for row in (row for row in batch if row["id"] in unfit):
            for stage, result in work.fault(row, unfit[row["id"]]):
                self._emit(stage, {**result, "attempts": tried})

    def _emit(self, stage: str, row: dict[str, Any]) -> None:
        self._rows[stage].append({"outcome": "ok", "reason": "", "detail": "", "attempts": 1, "seconds": 0.0, **row})
        name = next(iter(row[key] for key in ("clip_id", "source_id", "text_id") if key in row))
        if row.get("outcome", "ok") != "ok":
            self._bad.add(name)
        light = {f"{stage}.{key}": value for key, value in row.items() if not isinstance(value, bytes)}
        self._added.setdefault(name, {}).update(light if self._passes_on else {})
        self._bytes += sum(_weight(value) for value in row.values())
        if self._bytes > _FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        from curate.schema import rows_to_table

        if self._batch:
            self.wire.send({"begin": []})  # a stalled disk is not the row's fault
        for stage, rows in self._rows.items():
            table = self.plan.tables[stage]
            self._parts.append(asdict(self.store.write_part(table.name, rows_to_table(rows, table.schema))))
        self._rows.clear()
        self._bytes = 0
        if self._batch:
            self.wire.send({"begin": self._batch})


def _weight(value: Any) -> int:
    if isinstance(value, bytes):
        return len(value)
    return sum(_weight(item) for item in value) if isinstance(value, list) else 8


def main() -> None:
    """Serve one supervisor until it goes."""
    read_fd, write_fd = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what stage code prints goes to stderr
    wire = Wire(read_fd, write_fd)
    try:
        init = wire.receive()
        assert init is not None
        confine(init["memory_gib"], init["parent"])
        with beating(lambda: wire.send({"alive": True})):  # weights that the driver has not read are read here
            child = Child(wire, init)
        wire.send({"ready": True})
        while True:
            message = wire.receive()
            assert message is not None
            try:
                wire.send(child.shard(message))
            except StorageError as error:
                wire.send({"storage": str(error)})
            except StageCrashed as error:
                wire.send({"crashed": [error.reason, error.detail]})
    except Closed:
        return


if __name__ == "__main__":
    main()
