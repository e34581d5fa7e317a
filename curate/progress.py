"""Progress: a bar for each step on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

_EVERY_S = 5.0  # lines in a log: often enough to see life, rarely enough to read


def progress(stream: TextIO) -> Callable[[str, int, int], None]:
    """A function to call with (step, rows done, rows to do)."""
    return _bars(stream) if stream.isatty() else _lines(stream)


def _lines(stream: TextIO) -> Callable[[str, int, int], None]:
    last: dict[str, float] = {}

    def show(step: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done in (0, total) or now - last.get(step, 0.0) > _EVERY_S:
            last[step] = now
            print(f"{step}: {done} of {total}", file=stream, flush=True)

    return show


def _bars(stream: TextIO) -> Callable[[str, int, int], None]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=Console(file=stream))
    tasks: dict[str, object] = {}

    def show(step: str, done: int, total: int) -> None:
        if not tasks:
            bars.start()
        if step not in tasks:
            tasks[step] = bars.add_task(step, total=total)
        bars.update(tasks[step], completed=done, total=total)  # type: ignore[arg-type]
        if all(task.finished for task in bars.tasks):
            bars.stop()
            tasks.clear()
            for task in list(bars.task_ids):
                bars.remove_task(task)

    return show
