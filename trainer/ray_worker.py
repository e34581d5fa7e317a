"""A rank of a training on Ray: what a worker of Ray Train does, and how it speaks with its driver (curate/engines)."""

from __future__ import annotations

import contextlib
import io
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from curate.errors import SpecError

MARK = "seen"  # a file that every worker must see


class Board:
    """What driver and ranks tell each other: an actor on the driver's node."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._stop: int | None = None
        self._steps = False
        self._result: dict[str, Any] | None = None

    def begin(self) -> None:
        """Note that ranks start, and take no step yet."""
        self._steps = False

    def say(self, text: str) -> None:
        """Add to what the driver writes to its stderr."""
        self._said.append(text)

    def asked(self) -> int | None:
        """Return the signal that the driver caught. The first rank asks after every step or so."""
        self._steps = True
        return self._stop

    def stop(self, number: int) -> bool:
        """Ask the ranks to save a checkpoint and end; returns whether they take steps, and so will hear of it."""
        self._stop = number
        return self._steps

    def end(self, result: dict[str, Any]) -> None:
        """Note what the first rank returned."""
        self._result = result

    def take(self) -> tuple[list[str], dict[str, Any] | None]:
        """Return what was said since the last call, and the result once there is one."""
        said, self._said = self._said, []
        return said, self._result


@dataclass(frozen=True)
class Job:
    """What every worker is told."""

    dataset: str
    out: str
    config: dict[str, Any]
    work: str  # a folder beside `out` that the driver has made, with MARK in it
    folder: str  # from which relative paths of the config are taken
    gpus: bool
    board: Any = field(repr=False)


class _Voice(io.TextIOBase):
    """A stderr whose lines the driver writes to its own."""

    def __init__(self, board: Any) -> None:
        self._board, self._begun = board, ""

    def write(self, text: str) -> int:
        whole, end, self._begun = (self._begun + text).rpartition("\n")
        if end:
            self._board.say.remote(whole + end)
        return len(text)


class _Asking:
    """Asks the board for a signal, now and then: a question is a message to another node."""

    def __init__(self, board: Any, every_s: float = 0.5) -> None:
        self._board, self._every_s, self._next = board, every_s, 0.0

    def __call__(self) -> int | None:
        import ray

        if time.monotonic() < self._next:
            return None
        answer: Any = ray.get(self._board.asked.remote())
        self._next = time.monotonic() + self._every_s
        return answer


def work(given: dict[str, Job]) -> None:
    """Be a rank: in a worker of Ray Train, which has set up the process group.

    Raises what `train` does, and SpecError when this node does not see the files of the run.
    """
    import ray
    import ray.train
    import torch
    from ray.train.torch import get_device

    from trainer.config import TrainConfig
    from trainer.ranks import Ranks
    from trainer.train import _reporter, train

    job = given["job"]
    context = ray.train.get_context()
    _refuse_other_storage(job, ray.util.get_node_ip_address())
    os.chdir(job.folder)
    ranks = Ranks(context.get_world_rank(), context.get_world_size(), get_device() if job.gpus else torch.device("cpu"))
    if ranks.first:
        ray.get(job.board.begin.remote())
    config = TrainConfig.model_validate(job.config)
    stop = _Asking(job.board) if ranks.first else None
    with contextlib.redirect_stderr(_Voice(job.board)):
        result = train(
            Path(job.dataset), Path(job.out), config, on_step=_reporter(config.steps), ranks=ranks, stop=stop
        )
    if ranks.first:
        ray.get(job.board.end.remote({"steps": result.steps, "loss": result.loss, "stopped_by": result.stopped_by}))


def _refuse_other_storage(job: Job, node: str) -> None:
    for path in (Path(job.work) / MARK, Path(job.dataset), Path(job.folder)):
        if not path.exists():
            raise SpecError(
                f"node {node} does not see {path}: training on a cluster needs `output` and the folder of the call on"
                " storage that every node has at the same path"
            )
