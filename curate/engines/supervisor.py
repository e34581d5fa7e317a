"""The supervisor: it never runs stage code, it feeds a child process that does, and survives the child's death.

A row that ends its child (a crash, a loop, too much memory) is charged with the death; when it has cost
`limits.attempts` children it is written down as quarantined and never run again. A death in a batch makes its rows run
one by one, last, so that neighbours are finished before the suspects are tried.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from curate import models
from curate.errors import StageCrashed, StorageError
from curate.spec import Limits, Spec
from curate.spec_file import dump
from curate.stage import Fault
from curate.store import Part
from curate.wire import Closed, Wire

# Threads are set here for every engine, since their number changes the last bits of a matmul.
_POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "ARROW_NUM_THREADS")
ONE_THREAD = dict.fromkeys(_POOLS, "1")
_START_S = 120.0


class Supervisor:
    """One child process and its restarts."""

    def __init__(self, spec: Spec, out: Path) -> None:
        self._limits: Limits = spec.engine.limits
        memory = spec.engine.worker_memory_gib
        self._init = {"spec": dump(spec), "out": str(out), "memory_gib": memory, "parent": os.getpid()}
        self._process: subprocess.Popen[bytes] | None = None
        self._wire: Wire | None = None
        self._closed = False

    # -- the child ---------------------------------------------------------------------------------------------

    def _start(self) -> Wire:
        env = {**os.environ, **ONE_THREAD, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "curate.engines.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._wire = Wire(os.dup(self._process.stdout.fileno()), os.dup(self._process.stdin.fileno()))
        self._process.stdin.close()
        self._process.stdout.close()
        try:
            self._wire.send({**self._init, "digests": models.digests()})
            while "alive" in (ready := self._wire.receive(_START_S) or {}):
                pass
        except Closed:
            ready = {}
        if not ready:
            reason = self._end()
            if self._closed:
                raise StageCrashed("stopped", "the run was stopped")
            raise StageCrashed("worker:start", f"a worker process did not start ({reason}); its message is above")
        return self._wire

    def _end(self) -> str:
        """Kill the child's whole process group; return how it ended."""
        process, wire = self._process, self._wire
        self._process = self._wire = None
        if process is None:
            return "exit:0"
        code = process.poll()
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            code = process.poll()
        process.wait()
        if wire is not None:
            wire.close()
        code = process.returncode if code is None else code
        return f"signal:{signal.Signals(-code).name}" if code < 0 else f"exit:{code}"

    def close(self) -> None:
        """End the child."""
        self._closed = True
        self._end()

    # -- a shard -----------------------------------------------------------------------------------------------

    def run_chain(self, works: Sequence[str], rows: list[dict[str, Any]]) -> tuple[list[Part], list[dict[str, Any]]]:
        """Run a shard through one work after the other; each sees the columns that those before it added."""
        parts: list[Part] = []
        for work in works:
            if rows:
                done, rows = self.run(work, rows)
                parts += done
        return parts, rows

    def run(self, work: str, rows: list[dict[str, Any]]) -> tuple[list[Part], list[dict[str, Any]]]:
        """Run a shard to its end, whatever its rows do; return the parts written, and the rows for the next work.

        Raises:
            StorageError: the store refused a write.
            StageCrashed: no worker can be started, one says that it can do nothing here, or the run was stopped.
        """
        deaths: Counter[str] = Counter()
        alone: set[str] = set()
        faults: dict[str, Fault] = {}
        while True:
            wire = self._wire or self._start()
            message = {
                "work": work, "rows": rows, "alone": sorted(alone), "attempts": dict(deaths),
                "faults": {name: asdict(fault) for name, fault in faults.items()},
            }  # fmt: skip
            batch, result, why = self._attempt(wire, message)
            if result is not None:
                return [Part(**part) for part in result["parts"]], result["rows"]
            ended = self._end()
            if self._closed:
                raise StageCrashed("stopped", "the run was stopped")
            if len(batch) == 1:
                deaths[batch[0]] += 1
                if deaths[batch[0]] >= self._limits.attempts:
                    reason = why or f"crash:{ended}"
                    faults[batch[0]] = Fault(reason, f"ended its worker {deaths[batch[0]]} times", deaths[batch[0]])
            elif not batch:  # between two rows: nobody can be blamed, but it must not go on for ever
                deaths[""] += 1
                if deaths[""] >= self._limits.attempts:
                    raise StageCrashed("worker:died", f"a worker died {deaths['']} times outside of any row ({ended})")
            alone.update(batch)

    def _attempt(self, wire: Wire, message: dict[str, Any]) -> tuple[list[str], dict[str, Any] | None, str | None]:
        """Send a shard and listen; return the batch in flight, the answer if it ended well, and why it was killed."""
        batch: list[str] = []
        begun = time.monotonic()
        try:
            wire.send(message)
            while True:
                patience = self._limits.stall_seconds
                if batch:
                    patience = min(patience, begun + self._limits.row_seconds * len(batch) - time.monotonic())
                answer = wire.receive(max(0.0, patience))
                if answer is None:
                    return batch, None, "timeout"
                if "begin" in answer:
                    batch, begun = answer["begin"], time.monotonic()
                elif "parts" in answer:
                    return [], answer, None
                elif "storage" in answer:
                    raise StorageError(answer["storage"])
                elif "crashed" in answer:
                    raise StageCrashed(*answer["crashed"])
        except Closed:
            return batch, None, None
