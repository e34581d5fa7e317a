"""Batches prepared by threads ahead of whoever uses them, a bounded number of them at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(
    items: Sequence[Item], prepare: Callable[[Item], Made], threads: int
) -> Iterator[tuple[Item, Made | Exception, float]]:
    """Each item with what was made of it, or the exception, and the seconds that its taker waited for it.

    At most 2 * `threads` items are prepared or being prepared beyond the one in use, so memory is bounded.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="prepare")
    waiting: deque[tuple[Item, Future[Made]]] = deque()
    todo = iter(items)
    try:
        for _ in items:
            while len(waiting) < 2 * threads and (item := next(todo, None)) is not None:
                waiting.append((item, pool.submit(prepare, item)))
            item, future = waiting.popleft()
            begun = time.perf_counter()
            try:
                made: Made | Exception = future.result()
            except Exception as error:  # noqa: BLE001 the taker decides whom it concerns
                made = error
            waited_s = time.perf_counter() - begun
            if (more := next(todo, None)) is not None:
                waiting.append((more, pool.submit(prepare, more)))
            yield item, made, waited_s
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
