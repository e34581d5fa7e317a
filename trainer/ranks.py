"""The processes of one run: who this one is among them, and what they tell each other.

`torchrun` starts a process a device and gives each its place in the environment. Every rank holds the whole model, or
a share of it (sharding.py), and takes its own packs of a step (data.py); what they add up is in `Trainer.gradients`.
DistributedDataParallel is not used: it wants as many backward passes of every rank, and without sharding a rank may
have many groups in its packs, or none.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from curate.errors import SpecError, StageCrashed

# How long a rank waits for one that has not come yet, or does not answer: it may be writing a checkpoint. That another
# one has ended is noticed at once on CPU; elsewhere torchrun ends this one.
PATIENCE = timedelta(minutes=30)

# Numbers of a message of gradients: 64 MiB in float32, more would only take memory.
_BUCKET = 1 << 24


@dataclass(frozen=True)
class Ranks:
    """This process, `rank` of `world`, and its device. Every method is to be called by all ranks, in the same order.

    Each raises StageCrashed when another rank has ended or does not answer.
    """

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes logs, checkpoints and exports."""
        return self.rank == 0

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Return the values of every rank, by rank; as many on each."""
        if self.world == 1:
            return [list(values)]
        own = torch.tensor(values, dtype=torch.float64, device=self.device)
        every = [torch.empty_like(own) for _ in range(self.world)]
        with self._together():
            dist.all_gather(every, own)
        return [of_rank.tolist() for of_rank in every]

    def total(self, values: Sequence[float]) -> list[float]:
        """Return the sums over all ranks of some values; alone, the values themselves."""
        return list(values) if self.world == 1 else [sum(column) for column in zip(*self.gather(values), strict=True)]

    def sum_gradients(self, params: Sequence[nn.Parameter]) -> None:
        """Add up the gradients over all ranks, in place; a parameter that no rank used keeps none, as alone."""
        if self.world == 1:
            return
        used = torch.tensor([float(param.grad is not None) for param in params], device=self.device)
        with self._together():
            dist.all_reduce(used)
            bucket, numbers = [], 0
            for param, ranks in zip(params, used.tolist(), strict=True):
                if not ranks:
                    continue
                param.grad = torch.zeros_like(param) if param.grad is None else param.grad
                if bucket and numbers + param.numel() > _BUCKET:
                    _sum(bucket)
                    bucket, numbers = [], 0
                bucket.append(param.grad)
                numbers += param.numel()
            _sum(bucket)

    def copy_first(self, tensors: Sequence[Tensor]) -> None:
        """Give the first rank's numbers to all, in place."""
        if self.world > 1:
            with self._together(), torch.no_grad():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def told(self, value: Any) -> Any:
        """Return the first rank's JSON value on every rank."""
        if self.world == 1:
            return value
        text = json.dumps(value).encode() if self.first else b""
        size = int(self.gather([len(text)])[0][0])
        content = bytearray(text if self.first else size)
        buffer = torch.frombuffer(content, dtype=torch.uint8).to(self.device)
        self.copy_first([buffer])
        return json.loads(bytes(buffer.cpu().tolist()))

    def wait(self) -> None:
        """Return when every rank is here."""
        self.gather([0.0])

    def first_does(self, work: Callable[[], Any], word_s: float = 60.0) -> Any:
        """Let the first rank do what may take hours; returns what it returns there, on the others None at its end.

        The others are given word every `word_s` seconds: silent, the first rank would be taken for lost.
        """
        if self.world == 1:
            return work()
        done: Future[Any] = Future()

        def fulfil() -> None:
            try:
                done.set_result(work())
            except BaseException as error:  # noqa: BLE001 raised where it was asked for
                done.set_exception(error)

        if self.first:
            threading.Thread(target=fulfil, daemon=True).start()  # daemon: a signal is to end the process at once
        while not self.gather([float(self.first and bool(wait_for([done], word_s).done))])[0][0]:
            pass
        return done.result() if self.first else None

    @contextmanager
    def computing(self) -> Iterator[None]:
        """For what torch itself says to other ranks in the midst of computing (sharding.py)."""
        with self._together(alone=False):
            yield

    @contextmanager
    def _together(self, *, alone: bool = True) -> Iterator[None]:
        """Tell that another rank is lost; not `alone`: there may be other errors, such as of memory."""
        try:
            yield
        except RuntimeError as error:
            if not (alone or isinstance(error, dist.DistError) or "gloo" in str(error)):
                raise
            raise StageCrashed(
                "ranks:lost",
                f"rank {self.rank} of {self.world} cannot go on, since another one has ended or does not answer; its"
                f" own message says why, and the run goes on from its last checkpoint ({str(error).splitlines()[0]})",
            ) from error


def _sum(tensors: list[Tensor]) -> None:
    """Add up tensors of one type over all ranks in one message, in place."""
    if len(tensors) < 2:
        for tensor in tensors:
            dist.all_reduce(tensor)
        return
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    for tensor, total in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.copy_(total.view_as(tensor))


def label() -> str:
    """Return what begins a message of this process where several speak: "rank 1: ", or nothing."""
    return f"rank {os.environ.get('RANK')}: " if _world() > 1 else ""


@contextmanager
def joined() -> Iterator[Ranks]:
    """Meet the other ranks that torchrun's environment tells of; without it, this process is the only one.

    A CUDA device a local rank with nccl, or CPU with gloo. Raises StageCrashed when they do not meet in time.
    """
    world = _world()
    cuda = torch.cuda.is_available()
    local = int(os.environ.get("LOCAL_RANK", "0")) if world > 1 else 0
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        if local >= torch.cuda.device_count():
            raise SpecError(f"local rank {local} has no GPU of its own: there are {torch.cuda.device_count()} here;"
                            " start as many processes a node as it has GPUs (`--nproc-per-node`)")  # fmt: skip
        torch.cuda.set_device(device)
    if world == 1:
        yield Ranks(device=device)
        return
    try:
        rank = int(os.environ["RANK"])
        dist.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE, rank=rank, world_size=world)
    except (KeyError, ValueError) as error:
        raise SpecError(f"WORLD_SIZE is {world}, but the rest of torchrun's environment is not there ({error}): launch"
                        " with torchrun, or unset WORLD_SIZE") from error  # fmt: skip
    except RuntimeError as error:
        raise StageCrashed("ranks:not_met", f"rank {rank} of {world} did not find the others: {error}") from error
    try:
        yield Ranks(rank, world, device)
    finally:
        dist.destroy_process_group()


def _world() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
