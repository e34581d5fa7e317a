"""Prepares the next steps' tensors while a step is taken. What is prepared is a pure function of the step."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Made = TypeVar("Made")
DEPTH = 2  # steps held at once, besides the one that is taken


class Ahead(Generic[Made]):
    """`take(step)` for consecutive steps; a thread makes those up to DEPTH ahead. A context manager.

    What `make` raises is raised by `take` of that step. Memory is that of DEPTH steps more.
    """

    def __init__(self, make: Callable[[int], Made], first: int, end: int) -> None:
        self._make, self._next, self._end = make, first, end
        self._made: dict[int, Future[Made]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ahead")

    def take(self, step: int) -> Made:
        """Return what `make(step)` returns, waiting for it if need be."""
        self._ask(step)
        found = self._made.pop(step).result()
        # Asked for only now, so that no more than DEPTH wait while this one is used.
        self._ask(step + DEPTH)
        return found

    def _ask(self, last: int) -> None:
        while self._next <= min(last, self._end - 1):
            self._made[self._next] = self._thread.submit(self._make, self._next)
            self._next += 1

    def __enter__(self) -> Ahead[Made]:
        self._ask(self._next)
        return self

    def __exit__(self, *exc: object) -> None:
        self._thread.shutdown(cancel_futures=True)
