"""Named tensors in files that many ranks write and read: torch.distributed.checkpoint (DCP) over safetensors.

DCP shares out the writing: a plain tensor, which all ranks have, is written by one of them, a DTensor's part by a rank
that holds it. Its default storage pickles what it must know to read again; its storage of safetensors, whose format is
used here, has it in each header: of which place of a tensor a part is. (In memory it does pickle: what ranks tell
each other of their plans.)
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, futures
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
from torch.distributed.checkpoint.metadata import Metadata, TensorStorageMetadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.checkpoint.storage import StorageWriter, WriteResult

from curate.errors import StageCrashed, StorageError
from trainer.durable import synced_sha256

# That a process is the only one is no news.
_ALONE = "torch.distributed is disabled"

Parts = Mapping[str, Mapping[str, Tensor]]  # named tensors, by what they are
Group = dist.ProcessGroup | None
Clear = Callable[[], None]
Commit = Callable[[dict[str, str]], None]  # given the sha256 of each file


def quiet() -> None:
    """Keep DCP from warning a process that is alone, in all its threads."""
    warnings.filterwarnings("ignore", _ALONE)


def write(work: Path, parts: Parts, group: Group, clear: Clear, commit: Commit) -> None:
    """Write tensors of the CPU into files under `work`, by "part.name", with all ranks of the group.

    The first rank calls `clear` before anything is written, and `commit` with the sha256 of each file, by name, when
    all are durable. Raises on every rank: StorageError when the disk refuses one, StageCrashed when one has ended.
    """
    with _told_plainly(f"cannot write {work}", group):
        save(dict(parts), storage_writer=_Writer(work, clear, commit), process_group=group, no_dist=group is None)


def described(folder: Path) -> dict[str, TensorStorageMetadata]:
    """Return what the files of a folder hold: the whole shape and the type of each tensor, by name."""
    try:
        metadata = HuggingFaceStorageReader(str(folder)).read_metadata()
    except (OSError, SafetensorError) as error:
        raise StorageError(f"cannot read {folder}: {error}") from error
    return {name: what for name, what in metadata.state_dict_metadata.items()
            if isinstance(what, TensorStorageMetadata)}  # fmt: skip


def read(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Read into tensors, in place; a DTensor takes its own part. Each rank by itself. Raises StorageError."""
    wanted: dict[str, Any] = {name: tensor.detach() for name, tensor in tensors.items()}
    with warnings.catch_warnings(), _told_plainly(f"cannot read {folder}", None):
        quiet()
        reader = HuggingFaceStorageReader(str(folder))
        load(wanted, storage_reader=reader, planner=DefaultLoadPlanner(False, False), no_dist=True)


class _Writer(StorageWriter):
    """Writes what DCP's reader of safetensors reads; `clear` and `commit` are the first rank's.

    DCP has a writer, too, but that one makes a file's bytes in memory and keeps all threads waiting meanwhile.
    DCP calls these methods on all ranks, and tells all of them when one has failed.
    """

    def __init__(self, work: Path, clear: Clear, commit: Commit) -> None:
        self._work, self._clear, self._commit, self._rank = work, clear, commit, 0

    def reset(self, checkpoint_id: str | os.PathLike[str] | None = None) -> None:
        """There is one writer a checkpoint."""

    @classmethod
    def validate_checkpoint_id(cls, checkpoint_id: str | os.PathLike[str]) -> bool:
        return True

    def set_up_storage_writer(self, is_coordinator: bool, *args: Any, **kwargs: Any) -> None:
        self._rank = kwargs["rank"]

    def prepare_local_plan(self, plan: SavePlan) -> SavePlan:
        if self._rank == 0:  # nothing is written before every rank was here
            self._clear()
        return plan

    def prepare_global_plan(self, plans: list[SavePlan]) -> list[SavePlan]:
        return plans

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> futures.Future[list[WriteResult]]:
        path = self._work / f"shard-{self._rank:05d}.safetensors"
        tensors, places, written = {}, {}, []
        for item in plan.items:
            data, about = planner.resolve_data(item), item.tensor_data
            assert isinstance(data, Tensor)
            assert about is not None
            tensors[item.index.fqn] = data.contiguous()
            places[item.index.fqn] = {"saved_offsets": list(about.chunk.offsets)}
        if tensors:
            save_file(tensors, path, {"DCP_SHARDING_INFO": json.dumps(places)})
            sha256 = synced_sha256(path)
            written = [WriteResult(item.index, tensors[item.index.fqn].nbytes, (path.name, sha256))
                       for item in plan.items]  # fmt: skip
        told: futures.Future[list[WriteResult]] = futures.Future()
        told.set_result(written)
        return told

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        self._commit(dict(one.storage_data for of_rank in results for one in of_rank))


@contextmanager
def _told_plainly(what: str, group: Group) -> Iterator[None]:
    """Turn what DCP raises into an error of ours: the disk's fault, or that of a rank of the group that has ended."""
    try:
        yield
    except CheckpointException as error:
        cause = next(iter(error.failures.values()))[0]
        if isinstance(cause, (OSError, SafetensorError)):
            raise StorageError(f"{what}: {cause}") from error
        raise
    except RuntimeError as error:
        if group is None:  # nobody was spoken to
            raise
        said = str(error).splitlines()[0]
        raise StageCrashed("ranks:lost", f"{what}, since another rank has ended or does not answer ({said})") from error
