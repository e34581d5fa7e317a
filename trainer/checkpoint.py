"""Checkpoints: a folder a step, complete or absent, and the model a run leaves behind.

    OUT/checkpoints/step-00000500/{weights,ema,optimizer}.safetensors, state.json (sha256 of each file, the run's key)
    OUT/model/      diffusers' layout: config.json, diffusion_pytorch_model.safetensors (averaged weights)
    OUT/refiner/    config.json, model.safetensors

Nothing random is in a checkpoint: all of it is computed from (seed, step, clip id).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from curate.errors import SpecError, StorageError
from trainer.dit import DitConfig, WanDit
from trainer.grid import with_coordinates
from trainer.refiner import Refiner

PARTS = ("weights", "ema", "optimizer")
MODEL_FILE = "diffusion_pytorch_model.safetensors"


class Model(nn.Module):
    """The transformer and the refiner in front of its text, trained together."""

    def __init__(self, dit: WanDit, refiner: Refiner) -> None:
        super().__init__()
        self.dit, self.refiner = dit, refiner

    def forward(self, x_BCTHW: Tensor, timestep_BK: Tensor, text_BSF: Tensor, bias_BS: Tensor) -> Tensor:
        if self.dit.config.in_channels > self.dit.config.out_channels:
            x_BCTHW = with_coordinates(x_BCTHW)
        return self.dit(x_BCTHW, timestep_BK, self.refiner(text_BSF, bias_BS), bias_BS)


def save_checkpoint(out_dir: Path, step: int, run_key: str, parts: dict[str, dict[str, Tensor]], keep: int) -> Path:
    """Write a checkpoint and remove all but the newest `keep`. Raises StorageError when the disk refuses."""
    folder = out_dir / "checkpoints"
    final, work = folder / f"step-{step:08d}", folder / f".step-{step:08d}.tmp-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(".step-*"):
            shutil.rmtree(stale)
        work.mkdir()
        digests = {}
        for name, tensors in parts.items():
            save_file({key: value.contiguous() for key, value in tensors.items()}, work / f"{name}.safetensors")
            digests[name] = _synced_sha256(work / f"{name}.safetensors")
        write_json(work / "state.json", {"step": step, "run_key": run_key, "sha256": digests})
        if final.exists():
            shutil.rmtree(final)
        work.rename(final)
        _sync_dir(folder)
        for old in sorted(folder.glob("step-*"))[:-keep]:
            shutil.rmtree(old)
    except OSError as error:
        raise StorageError(f"cannot write the checkpoint {final}: {error}") from error
    return final


def load_newest(out_dir: Path, run_key: str) -> tuple[int, dict[str, dict[str, Tensor]]] | None:
    """Return (steps done, parts) of the newest checkpoint whose files are whole, or None when there is none.

    Raises SpecError when it belongs to another config or dataset, StorageError when there are only damaged ones.
    """
    folders = sorted((out_dir / "checkpoints").glob("step-*"), reverse=True)
    for folder in folders:
        try:
            state = json.loads((folder / "state.json").read_bytes())
            whole = all(_sha256(folder / f"{name}.safetensors") == state["sha256"][name] for name in PARTS)
        except (OSError, ValueError, KeyError):
            whole, state = False, {}
        if not whole:
            continue
        if state["run_key"] != run_key:
            raise SpecError(
                f"{folder} was made with another config or dataset: train into another folder, or remove this one"
            )
        return state["step"], {name: load_file(folder / f"{name}.safetensors") for name in PARTS}
    if folders:
        raise StorageError(f"every checkpoint in {out_dir / 'checkpoints'} is damaged: remove the folder to start anew")
    return None


def export_model(out_dir: Path, model: Model) -> None:
    """Write the transformer in diffusers' layout, and the refiner beside it."""
    for name, config, file, module in (
        ("model", model.dit.config.diffusers_json(), MODEL_FILE, model.dit),
        ("refiner", refiner_json(model.refiner), "model.safetensors", model.refiner),
    ):
        work = out_dir / f".{name}.tmp-{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        save_file({key: value.contiguous() for key, value in module.state_dict().items()}, work / file)
        _synced_sha256(work / file)
        write_json(work / "config.json", config)
        shutil.rmtree(out_dir / name, ignore_errors=True)
        work.rename(out_dir / name)
    _sync_dir(out_dir)


def load_model(run_dir: Path) -> Model:
    """Load what `export_model` wrote. Raises SpecError when the run has no model, or one of another kind."""
    try:
        config = json.loads((run_dir / "model" / "config.json").read_bytes())
        refiner_config = json.loads((run_dir / "refiner" / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise SpecError(f"{run_dir} holds no trained model ({error}): train it to the end first") from error
    if config.get("image_dim") or config.get("added_kv_proj_dim"):
        raise SpecError(f"{run_dir / 'model'} has Wan's CLIP image branch, which is not supported")
    known = {key: config[key] for key in DitConfig.__dataclass_fields__ if key in config}
    known["patch_size"] = tuple(known["patch_size"])
    model = Model(WanDit(DitConfig(**known)), Refiner(**refiner_config))
    model.dit.load_state_dict(load_file(run_dir / "model" / MODEL_FILE), strict=True)
    refiner_file = run_dir / "refiner" / "model.safetensors"
    model.refiner.load_state_dict(load_file(refiner_file), strict=True)
    return model.eval()


def refiner_json(refiner: Refiner) -> dict[str, int]:
    """Return the arguments that make a refiner of this shape."""
    in_dim = refiner.project.in_features if refiner.blocks else refiner.dim
    return {"in_dim": in_dim, "dim": refiner.dim, "layers": len(refiner.blocks)}


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


def _synced_sha256(path: Path) -> str:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return _sha256(path)


def _sync_dir(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
