"""The reference engine: supervisors in threads of the driver, each with a child process."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from curate.engines import Shard, workers_of
from curate.engines.supervisor import Supervisor
from curate.spec import Spec
from curate.store import Part


class LocalEngine:
    """Supervisors take shards from one queue. Threads live as long as their workers: a child dies with the thread that
    started it (that is how Linux counts parents)."""

    def __init__(self, spec: Spec, out: Path) -> None:
        self._spec, self._out = spec, out
        self._supervisors: list[Supervisor] = []
        self._todo: queue.Queue[tuple[Sequence[str], Shard] | None] = queue.Queue()
        self._done: queue.Queue[tuple[list[Part], int] | BaseException] = queue.Queue()
        self._threads: list[threading.Thread] = []

    def _serve(self, supervisor: Supervisor) -> None:
        while (job := self._todo.get()) is not None:
            try:
                self._done.put((supervisor.run_chain(*job)[0], len(job[1])))
            except BaseException as error:  # noqa: BLE001 the driver's thread raises it
                self._done.put(error)

    def run(self, works: Sequence[str], shards: Sequence[Shard]) -> Iterator[tuple[list[Part], int]]:
        """Yield the parts of each shard, and its number of rows, as it finishes."""
        most = workers_of(self._spec, works)
        if len(self._supervisors) > most:
            self.close()  # a model may have the memory for fewer workers than there were before
        for _ in range(len(self._supervisors), min(most, len(shards))):
            self._supervisors.append(Supervisor(self._spec, self._out))
            thread = threading.Thread(target=self._serve, args=(self._supervisors[-1],), daemon=True)
            thread.start()
            self._threads.append(thread)
        for shard in shards:
            self._todo.put((works, shard))
        for _ in shards:
            result = self._done.get()
            if isinstance(result, BaseException):
                raise result
            yield result

    def close(self) -> None:
        """Kill the children and let the threads end."""
        while not self._todo.empty():
            try:
                self._todo.get_nowait()
            except queue.Empty:
                break
        for _ in self._threads:
            self._todo.put(None)
        for supervisor in self._supervisors:
            supervisor.close()
        for thread in self._threads:
            thread.join(timeout=5.0)
        self._supervisors, self._threads = [], []
