"""Say that progress is made while something long runs that cannot say so itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_BEAT_S = 5.0
LOAD_S = 1800.0  # a large model on a cold disk; whatever takes longer hangs


@contextmanager
def beating(alive: Callable[[], None], most_s: float = LOAD_S) -> Iterator[None]:
    """Call `alive` every few seconds from a thread, for `most_s` at most; nobody else may call it meanwhile."""
    stop = threading.Event()

    def beat() -> None:
        until = time.monotonic() + most_s
        while not stop.wait(_BEAT_S) and time.monotonic() < until:
            alive()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
