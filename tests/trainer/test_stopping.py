"""One request to stop comes as several signals; only a second request ends a process at once."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager

import pytest

from curate.engines.training import Driver
from curate.spec import Resource
from trainer import stopping
from trainer.launch import Launch
from trainer.ray_worker import Job
from trainer.train import _Signals


def signals() -> list[AbstractContextManager]:
    """What the processes of a training catch signals with: a rank, and those that start ranks here and on Ray."""
    driver = Driver(Job("d", "o", {}, "w", "f", False, None), Resource(), [1], True)
    return [_Signals(), Launch(0, 1, []), driver.signals()]


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("echo", [True, False])
def test_an_echo_of_a_request_to_stop_is_none_and_a_second_request_ends_at_once(place, echo, monkeypatch):
    monkeypatch.setattr(stopping, "ECHO_S", 60.0 if echo else 0.0)
    with signals()[place]:
        signal.raise_signal(signal.SIGINT)
        if echo:
            signal.raise_signal(signal.SIGINT)
        else:
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
