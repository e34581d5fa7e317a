"""The model that a run leaves behind, and how it is read again.

OUT/model/       diffusers' layout: config.json, diffusion_pytorch_model.safetensors (averaged weights)
OUT/refiner/     config.json, model.safetensors
OUT/export.json  run_key, step, sha256 of the two weight files, and how far diffusers' numbers are from ours: written
                 last, so without it the export is not whole
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save, save_file
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from curate.durable import sync_dir
from curate.errors import SpecError
from trainer.dit import DitConfig, WanDit
from trainer.durable import storing, synced_sha256, write_json
from trainer.model import Model
from trainer.parity import parity
from trainer.provenance import files_sha256
from trainer.refiner import Refiner

MODEL_FILE = "diffusion_pytorch_model.safetensors"
REFINER_FILE = "model.safetensors"


def is_exported(out_dir: Path, run_key: str, step: int) -> bool:
    """Whether the export on disk is whole and of this run and step."""
    try:
        said = json.loads((out_dir / "export.json").read_bytes())
        wanted = {"run_key": run_key, "step": step, "sha256": weights_sha256(out_dir)}
        return {key: said[key] for key in wanted} == wanted
    except (OSError, ValueError, KeyError, TypeError):
        return False


def export_model(out_dir: Path, model: Model, run_key: str, step: int) -> None:
    """Write the transformer in diffusers' layout, and the refiner beside it.

    Raises StorageError, and RushesError when diffusers opens it and gives other numbers (parity.py).

    All is written and synced aside, then swapped in an order in which a model never stands without its own refiner.
    A run that is killed in between has no export.json, is not sampled from, and exports again when it is resumed.
    """
    work = out_dir / f".export.tmp-{os.getpid()}"
    with storing(out_dir / "model"):
        for stale in out_dir.glob(".export.tmp-*"):
            shutil.rmtree(stale)
        _write_module(work / "model", MODEL_FILE, model.dit.config.diffusers_json(), model.dit)
        _write_module(work / "refiner", REFINER_FILE, refiner_json(model.refiner), model.refiner)
        sha256, agreed = weights_sha256(work), parity(work / "model", model.dit)
        (out_dir / "export.json").unlink(missing_ok=True)
        sync_dir(out_dir)
        for name in ("model", "refiner"):
            if (out_dir / name).exists():
                (out_dir / name).rename(work / f"old-{name}")
        for name in ("refiner", "model"):
            (work / name).rename(out_dir / name)
        sync_dir(out_dir)
        write_json(out_dir / "export.json", {"run_key": run_key, "step": step, "sha256": sha256, "parity": agreed})
        sync_dir(out_dir)
        shutil.rmtree(work)


def _write_module(folder: Path, file: str, config: dict[str, Any], module: nn.Module) -> None:
    folder.mkdir(parents=True)
    save_file({key: value.contiguous() for key, value in module.state_dict().items()}, folder / file)
    synced_sha256(folder / file)
    write_json(folder / "config.json", config)
    sync_dir(folder)


def weights_sha256(run_dir: Path) -> str:
    """Return the sha256 over the weights of the transformer and the refiner."""
    return files_sha256([run_dir / "model" / MODEL_FILE, run_dir / "refiner" / REFINER_FILE])


def weights_digest(model: Model, wanted: bool = True) -> str:
    """Return what `weights_sha256` would be of a model's export, without writing it; it takes its bytes once more.

    Of a sharded model every rank calls this, and those that do not want the digest keep nothing, and get "".
    """
    digest = hashlib.sha256()
    for module in (model.dit, model.refiner):
        whole: dict[str, Tensor] = {}
        for name, value in module.state_dict().items():
            full = value.full_tensor() if isinstance(value, DTensor) else value
            if wanted:
                whole[name] = full.cpu().contiguous()
        digest.update(hashlib.sha256(save(whole)).digest())
    return digest.hexdigest() if wanted else ""


def verify_export(run_dir: Path, run_key: str) -> str:
    """Return the sha256 of a run's weights. Raises SpecError unless they are the ones that this run exported."""
    again = "train it to the end first"
    try:
        said = json.loads((run_dir / "export.json").read_bytes())
        exported_by, wanted = said["run_key"], said["sha256"]
        found = weights_sha256(run_dir)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{run_dir} holds no trained model ({error}): {again}") from error
    if exported_by != run_key:
        raise SpecError(f"the model in {run_dir} is of another run than its run.json: {again}")
    if found != wanted:
        raise SpecError(f"the weights in {run_dir} are not those that its export.json names: {again}")
    return found


def load_model(run_dir: Path) -> Model:
    """Load what `export_model` wrote. Raises SpecError when the run has no model, or one of another kind."""
    try:
        config = json.loads((run_dir / "model" / "config.json").read_bytes())
        refiner_config = json.loads((run_dir / "refiner" / "config.json").read_bytes())
        text_pad_to = json.loads((run_dir / "run.json").read_bytes()).get("text_pad_to", 0)
    except (OSError, ValueError, KeyError) as error:
        raise SpecError(f"{run_dir} holds no trained model ({error}): train it to the end first") from error
    if config.get("image_dim") or config.get("added_kv_proj_dim"):
        raise SpecError(f"{run_dir / 'model'} has Wan's CLIP image branch, which is not supported")
    known = {key: config[key] for key in DitConfig.__dataclass_fields__ if key in config}
    known |= {"patch_size": tuple(known["patch_size"]), "text_pad_to": text_pad_to}
    model = Model(WanDit(DitConfig(**known)), Refiner(**refiner_config))
    model.dit.load_state_dict(load_file(run_dir / "model" / MODEL_FILE), strict=True)
    model.refiner.load_state_dict(load_file(run_dir / "refiner" / REFINER_FILE), strict=True)
    return model.eval()


def refiner_json(refiner: Refiner) -> dict[str, int]:
    """Return the arguments that make a refiner of this shape."""
    in_dim = refiner.project.in_features if refiner.blocks else refiner.dim
    return {"in_dim": in_dim, "dim": refiner.dim, "layers": len(refiner.blocks)}
