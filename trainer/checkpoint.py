"""Checkpoints: a folder a step, complete or absent.

    OUT/checkpoints/step-00000500/{weights,ema,optimizer}.safetensors, state.json (sha256 of each file, the run's key)

Nothing random is in a checkpoint: all of it is computed from (seed, step, clip id).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from curate.errors import SpecError, StorageError
from trainer.dit import WanDit
from trainer.grid import with_coordinates
from trainer.packed import PackedClip, model_packed
from trainer.refiner import Refiner

PARTS = ("weights", "ema", "optimizer")
DAMAGED = "damaged-"


class Model(nn.Module):
    """The transformer and the refiner in front of its text, trained together."""

    def __init__(self, dit: WanDit, refiner: Refiner) -> None:
        super().__init__()
        self.dit, self.refiner = dit, refiner

    def forward(
        self, x_BCTHW: Tensor, timestep_BK: Tensor, text_BSF: Tensor, bias_BS: Tensor, index_BL: Tensor | None = None
    ) -> Tensor:
        if self.dit.config.in_channels > self.dit.config.out_channels:
            x_BCTHW = with_coordinates(x_BCTHW)
        return self.dit(x_BCTHW, timestep_BK, self.refiner(text_BSF, bias_BS), bias_BS, index_BL)

    def packed(self, clips: Sequence[PackedClip]) -> list[Tensor]:
        """Return the prediction for each clip of a pack, in one pass (packed.py)."""
        return [out.clone() for out in model_packed(self, clips)]  # no views: FSDP2 hooks what comes out


def save_checkpoint(out_dir: Path, step: int, run_key: str, parts: dict[str, dict[str, Tensor]], keep: int) -> Path:
    """Write a checkpoint and remove older ones but the newest `keep` - 1. Raises StorageError when the disk refuses."""
    folder = out_dir / "checkpoints"
    final, work = folder / f"step-{step:08d}", folder / f".step-{step:08d}.tmp-{os.getpid()}"
    with storing(final):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".step-*"):
            shutil.rmtree(stale)
        work.mkdir()
        digests = {}
        for name, tensors in parts.items():
            save_file({key: value.contiguous() for key, value in tensors.items()}, work / f"{name}.safetensors")
            digests[name] = synced_sha256(work / f"{name}.safetensors")
        write_json(work / "state.json", {"step": step, "run_key": run_key, "sha256": digests})
        if final.exists():
            shutil.rmtree(final)
        work.rename(final)
        sync_dir(folder)
        # Only what is older goes, never what was just written: a later folder is no reason to lose this one.
        older = sorted(path for path in folder.glob("step-*") if path.name < final.name)
        for old in [*older[: max(0, len(older) - (keep - 1))], *folder.glob(f"{DAMAGED}*")]:
            shutil.rmtree(old)
    return final


def load_newest(out_dir: Path, run_key: str) -> tuple[int, dict[str, dict[str, Tensor]]] | None:
    """Return (steps done, parts) of the newest checkpoint whose files are whole, or None when there is none.

    Damaged ones that are newer are renamed away, to `damaged-step-...`, and go with the next checkpoint that is saved.
    Raises SpecError when it belongs to another config or dataset, StorageError when there are only damaged ones.
    """
    folder = out_dir / "checkpoints"
    found = sorted(folder.glob("step-*"), reverse=True)
    for place, checkpoint in enumerate(found):
        state = _whole_state(checkpoint)
        if state is None:
            continue
        if state["run_key"] != run_key:
            raise SpecError(
                f"{checkpoint} was made with another config or dataset: train into another folder, or remove this one"
            )
        parts = {name: load_file(checkpoint / f"{name}.safetensors") for name in PARTS}
        with storing(folder):
            for damaged in found[:place]:
                aside = folder / f"{DAMAGED}{damaged.name}"
                if aside.exists():
                    shutil.rmtree(aside)
                damaged.rename(aside)
        return state["step"], parts
    if found:
        raise StorageError(f"every checkpoint in {folder} is damaged: remove the folder to start anew")
    return None


def _whole_state(checkpoint: Path) -> dict[str, Any] | None:
    """Return a checkpoint's state.json, or None when a file is missing or not what was written."""
    try:
        state = json.loads((checkpoint / "state.json").read_bytes())
        whole = all(_sha256(checkpoint / f"{name}.safetensors") == state["sha256"][name] for name in PARTS)
        return state if whole and {"step", "run_key"} <= set(state) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what a full or failing disk raises while `path` is written into a StorageError that names it."""
    try:
        yield
    except (OSError, SafetensorError) as error:  # safetensors wraps the system's error in its own
        raise StorageError(f"cannot write {path}: {error}") from error


def write_json(path: Path, value: Any) -> None:
    """Write JSON durably: temporary file, fsync, rename."""
    work = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    with work.open("w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    work.replace(path)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def synced_sha256(path: Path) -> str:
    """Make a file's bytes durable and return their sha256."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return _sha256(path)


def sync_dir(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
