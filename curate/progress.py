"""Progress: a bar for each step on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from typing import Any, TextIO

_EVERY_S = 5.0  # lines in a log: often enough to see life, rarely enough to read


def progress(stream: TextIO) -> Lines | Bars:
    """Something to call with (step, rows done, rows to do), and to close."""
    return Bars(stream) if stream.isatty() else Lines(stream)


class Lines:
    """Plain lines."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show a step, at its ends and every few seconds."""
        now = time.monotonic()
        if done in (0, total) or now - self._last.get(step, 0.0) > _EVERY_S:
            self._last[step] = now
            print(f"{step}: {done} of {total}", file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing is held."""


class Bars:
    """Bars that stay when their step is done."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show a step."""
        bars = self._bars = self._bars or self._start()
        if step not in self._tasks:
            self._tasks[step] = bars.add_task(step, total=total)
        bars.update(self._tasks[step], completed=done, total=total)
        if done == total:
            self.close()  # what prints between steps should not fight with a live bar

    def _start(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        bars = Progress(*columns, console=Console(file=self._stream))
        bars.start()
        return bars

    def close(self) -> None:
        """Give the cursor back."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
            self._tasks.clear()
