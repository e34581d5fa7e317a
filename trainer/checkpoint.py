"""Checkpoints: a folder a step, complete or absent, which all ranks write while training goes on.

    OUT/checkpoints/step-00000500/shard-00000.safetensors    what the first rank wrote; shard-00001, ...
    OUT/checkpoints/step-00000500/state.json                 format, step, the run's key, sha256 of each file

The tensors are shared out over the files (shards.py), and read again on any number of ranks, sharded or not. Nothing
random is in a checkpoint: all of it is computed from (seed, step, clip id).
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from curate.durable import file_sha256, sync_dir
from curate.errors import RushesError, SpecError, StorageError
from trainer import shards
from trainer.durable import storing, write_json
from trainer.ranks import PATIENCE, Ranks
from trainer.shards import Parts

FORMAT = 2  # of the folder; 1 had a file a part, and was written by the first rank
DAMAGED = "damaged-"


@dataclass(frozen=True)
class Saved:
    """A whole checkpoint: where it is, the steps done, and what is known of its tensors, by "part.name"."""

    folder: Path
    step: int
    tensors: Mapping[str, TensorStorageMetadata]

    def names(self, part: str) -> list[str]:
        """Return the names of a part's tensors."""
        return [name.removeprefix(f"{part}.") for name in self.tensors if name.startswith(f"{part}.")]


class Checkpoints:
    """The checkpoints of one run in OUT/checkpoints. All ranks make one, and call each method together.

    The newest `keep` are kept, and for ever those of every `keep_every` steps. A context manager: at its end it waits
    for what is being written.
    """

    def __init__(self, out_dir: Path, run_key: str, ranks: Ranks, keep: int = 2, keep_every: int | None = None) -> None:
        self.folder, self.run_key, self._ranks = out_dir / "checkpoints", run_key, ranks
        self._keep, self._keep_every = keep, keep_every
        # Of its own: the writing thread must not speak in between what the ranks say to each other in training.
        self._group: Any = dist.new_group(backend="gloo", timeout=PATIENCE) if ranks.world > 1 else None
        cuda = ranks.device.type == "cuda"
        self._stager = DefaultStager(StagingOptions(cuda, False, False, cuda))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None

    def save(self, step: int, parts: Parts) -> None:
        """Copy the named tensors (equal on all ranks, or DTensors) and write them in the background.

        First it waits for the checkpoint before. Raises StorageError when the disk refused that one, StageCrashed when
        another rank has ended.
        """
        self.wait()
        if self._group is None:
            shards.quiet()
        plain = {part: {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
                 for part, tensors in parts.items()}  # fmt: skip
        staged: Any = self._stager.stage(plain)
        self._writing = self._thread.submit(self._write, step, staged)

    def wait(self) -> None:
        """Return when what was saved is durable, on every rank. Raises what `save` does."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def newest(self) -> Saved | None:
        """Return the newest checkpoint whose files are whole, or None when there is none; the first rank decides.

        Damaged ones that are newer are renamed away, to `damaged-step-...`, and go with the next that is saved.
        Raises SpecError when it is of another config or dataset, of an older format, or not in the folder that the
        first rank sees, StorageError when there are only damaged ones.
        """
        said = self._ranks.told(self._ranks.first_does(self._choose))  # it reads every byte
        if said is None:
            return None
        folder = self.folder / said["name"]
        if _whole_state(folder, whole=False) != said["state"]:
            raise SpecError(f"rank {self._ranks.rank} does not see the {folder} of rank 0: OUT is to be one folder")
        return Saved(folder, said["state"]["step"], shards.described(folder))

    def load(self, saved: Saved, parts: Parts) -> None:
        """Read a checkpoint into the given tensors, plain or DTensors, whatever they were when it was saved.

        Raises SpecError unless names, shapes and types are those of the checkpoint, StorageError on the disk.
        """
        wanted = _flat(parts)
        _refuse_misfit(saved, wanted)
        shards.read(saved.folder, wanted)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            self.wait()
        except RushesError as second:
            if error is None:
                raise
            print(f"train: {second}", file=sys.stderr)  # the first error is what the caller is told
        finally:
            self._thread.shutdown()
            self._stager.close()

    def _write(self, step: int, staged: Parts) -> None:
        final = self.folder / f"step-{step:08d}"
        work = self.folder / f".{final.name}.tmp"

        def commit(sha256: dict[str, str]) -> None:
            for name in sha256:
                (work / name).stat()  # of a rank that writes elsewhere there is no such file
            state = {"format": FORMAT, "step": step, "run_key": self.run_key, "sha256": sha256}
            write_json(work / "state.json", state)
            sync_dir(work)
            if final.exists():
                shutil.rmtree(final)
            work.rename(final)
            sync_dir(self.folder)
            self._prune(final)

        shards.write(work, staged, self._group, lambda: self._clear(work), commit)

    def _clear(self, work: Path) -> None:
        """Make the folder, and remove what a killed run was writing."""
        for stale in self.folder.glob(".step-*"):
            shutil.rmtree(stale)
        work.mkdir(parents=True)

    def _prune(self, final: Path) -> None:
        """Remove old ones. Only what is older goes, never what was just written: a later folder is no reason to."""
        older = sorted(path for path in self.folder.glob("step-*") if path.name < final.name)
        for old in older[: max(0, len(older) - (self._keep - 1))]:
            if not (self._keep_every and int(old.name.removeprefix("step-")) % self._keep_every == 0):
                shutil.rmtree(old)
        for damaged in self.folder.glob(f"{DAMAGED}*"):
            shutil.rmtree(damaged)

    def _choose(self) -> dict[str, Any] | None:
        found = sorted(self.folder.glob("step-*"), reverse=True)
        for place, checkpoint in enumerate(found):
            state = _whole_state(checkpoint)
            if state is None:
                continue
            if state["run_key"] != self.run_key:
                raise SpecError(
                    f"{checkpoint} was made with another config or dataset: train into another folder, or remove this"
                    " one"
                )
            with storing(self.folder):
                for damaged in found[:place]:
                    aside = self.folder / f"{DAMAGED}{damaged.name}"
                    if aside.exists():
                        shutil.rmtree(aside)
                    damaged.rename(aside)
            return {"name": checkpoint.name, "state": state}
        if found:
            raise StorageError(f"every checkpoint in {self.folder} is damaged: remove the folder to start anew")
        return None


def _flat(parts: Parts) -> dict[str, Tensor]:
    return {f"{part}.{name}": tensor for part, tensors in parts.items() for name, tensor in tensors.items()}


def _refuse_misfit(saved: Saved, wanted: Mapping[str, Tensor]) -> None:
    there = saved.tensors
    faults = {
        "missing": [name for name in wanted if name not in there],
        "unexpected": [name for name in there if name not in wanted],
        "of another shape or type": [
            name for name, tensor in wanted.items()
            if name in there and (there[name].size, there[name].properties.dtype) != (tensor.shape, tensor.dtype)
        ],
    }  # fmt: skip
    said = [f"{fault}: {', '.join(sorted(names))}" for fault, names in faults.items() if names]
    if said:
        raise SpecError(
            f"{saved.folder} is not of this model ({'; '.join(said)}): go on with the version that wrote it, or train"
            " into another folder"
        )


def _whole_state(checkpoint: Path, whole: bool = True) -> dict[str, Any] | None:
    """Return a checkpoint's state.json, or None when a file is missing or not what was written."""
    try:
        state = json.loads((checkpoint / "state.json").read_bytes())
        if state.get("format", 1) != FORMAT and {"step", "run_key", "sha256"} <= set(state):
            raise SpecError(
                f"{checkpoint} is of format {state.get('format', 1)}, and this version reads {FORMAT}: go on with the"
                " version that wrote it, or train into another folder"
            )
        kept = not whole or all(file_sha256(checkpoint / name) == said for name, said in state["sha256"].items())
        return state if kept and state["sha256"] and {"step", "run_key"} <= set(state) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
