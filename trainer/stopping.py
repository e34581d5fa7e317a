"""A request to stop, however many signals it comes as.

SLURM and systemd signal every process of a job, and those that started others pass it on: what was asked once arrives
two or three times, within moments. Taken for a second request, which ends a process at once, it would cost the
checkpoint.
"""

from __future__ import annotations

import time

ECHO_S = 3.0


class Request:
    """The first signal of a request, and what is an echo of it."""

    def __init__(self) -> None:
        self._first: float | None = None

    def again(self) -> bool:
        """Note a signal; returns whether it is a second request: neither the first signal nor an echo of it."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        return now - self._first > ECHO_S
