"""What to say when a detector's package is not installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def needs_shots() -> Iterator[None]:
    """Around an import that needs the extra `shots`: name the extra when it is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        message = f"{error.name} is not installed; pip install 'rushes[shots]'"
        raise ModuleNotFoundError(message, name=error.name) from error
