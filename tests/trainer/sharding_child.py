"""What each rank of test_sharding.py does: `python -m tests.trainer.sharding_child DATASET FOLDER RUN`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.distributed.tensor import DTensor

from curate.dataset.reader import Dataset
from curate.errors import RushesError
from tests.trainer.ranks_child import SETTINGS
from trainer.config import SamplesConfig, TrainConfig
from trainer.data import Group, TrainingData
from trainer.loop import Trainer
from trainer.muon import orthogonalised_shards
from trainer.optimizers import optimizer_tensors
from trainer.ranks import Ranks, joined
from trainer.sharding import local, put, whole
from trainer.train import train
from trainer.watching import Samples

# An odd width of the MLP: ranks have unequal shares of its rows.
MODEL = {**SETTINGS.dims.model_dump(), "ffn_dim": 33}
HELD_OUT = 3
WEIGHT = "dit.blocks.0.attn1.to_q.weight"


def settings(**changes) -> TrainConfig:
    known = {**SETTINGS.model_dump(exclude_none=True), "model": MODEL, "eval_clips": HELD_OUT, "sharding": "full"}
    return TrainConfig.model_validate({**known, "steps": 6, "checkpoint_every": 2, **changes})


def ready(dataset: Path, ranks: Ranks, precision: str = "fp32", **changes) -> Trainer:
    """A trainer whose output is not zero, so that every parameter has a gradient."""
    config = settings(**changes)
    trainer = Trainer(TrainingData(Dataset(dataset), config), config, precision, ranks)
    last = dict(zip(trainer.names, trainer.params, strict=True))["dit.proj_out.weight"]
    put(last, 0.1 * torch.randn(last.shape, generator=torch.Generator().manual_seed(1)))
    return trainer


def gradients(trainer: Trainer, step: int, groups: list[Group]) -> dict[str, torch.Tensor]:
    """The clipped gradients of a step, whole, by name: on the first rank."""
    for param in trainer.params:
        param.grad = None
    trainer.gradients(step, groups)
    named = zip(trainer.names, trainer.params, strict=True)
    found = gathered({name: param.grad for name, param in named if param.grad is not None})
    return {name: grad.clone() for name, grad in found.items()}


def several(trainer: Trainer) -> dict:
    """Losses of some steps, with a validation between them, after which nothing old may be left in a gathered layer."""
    losses = [trainer.step(step)["loss"] for step in range(2)]
    found = trainer.evaluate()["curve"]
    return {"losses": [*losses, *(trainer.step(step)["loss"] for step in (2, 3))], "curve": found}


def gathered(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Whole tensors, for which all ranks ask together."""
    return {name: whole(tensor.detach()) for name, tensor in tensors.items()}


def types_in_a_pass(trainer: Trainer) -> list[str]:
    """The types of a linear layer's weight, and of a norm's, while the model runs, and of the weight that is moved."""
    layer, found = trainer.model.dit.blocks[0].get_submodule("attn1"), []

    def note(linear: torch.nn.Module, given: object, out: object) -> None:
        found.extend(str(module.get_parameter("weight").dtype) for module in (linear, layer.get_submodule("norm_q")))

    with layer.get_submodule("to_q").register_forward_hook(note):
        trainer.gradients(0, trainer.made(0))
    return [*found[:2], str(dict(zip(trainer.names, trainer.params, strict=True))[WEIGHT].dtype)]


def sampled(trainer: Trainer, folder: Path, run: Path) -> np.ndarray | None:
    """What a trainer's averaged weights make of the prompt `a`: an image, on the first rank."""
    settings = SamplesConfig.model_validate({"every": 1, "steps": 1, "prompts": [{"prompt": "a", "task": "image"}]})
    made = Samples(trainer, settings, folder, json.loads((run / "run.json").read_bytes())).make(1)
    return None if made is None else np.asarray(Image.open(made.parent / "000.png"))


def main(dataset: Path, folder: Path, run: Path) -> None:
    """Leave FOLDER/RANK.json and, from the first rank, tensors; take the run in RUN on to its end."""
    with joined() as ranks:
        torch.set_num_threads(1)

        def leave(name: str, tensors: dict[str, torch.Tensor]) -> None:
            if ranks.first:
                save_file({key: value.contiguous() for key, value in tensors.items()}, folder / f"{name}.safetensors")

        trainer = ready(dataset, ranks)
        leave("shared", gradients(trainer, 2, trainer.made(2)))
        # All packs on the first rank, two at a time, and none on the second: it takes passes of nothing.
        alone = trainer.data.step(2)
        there = [replace(group, pack=group.pack // 2) for group in alone] if ranks.first else []
        leave("uneven", gradients(trainer, 2, there))
        trainer.model.dit.recompute = True
        leave("recomputed", gradients(trainer, 2, trainer.made(2)))
        trainer.model.dit.recompute = False
        facts: dict = {"muon": several(trainer)}
        leave("ema", gathered(dict(zip(trainer.names, trainer.ema, strict=True))))
        average = trainer.full_average()
        leave("average", dict(average.state_dict()) if average else {})
        facts["average"] = average is not None
        shards = {n: p for n, p in zip(trainer.names, trainer.params, strict=True) if isinstance(p, DTensor)}
        facts |= {"sharded": list(shards), "numbers": sum(param.to_local().numel() for param in shards.values())}
        states = optimizer_tensors(trainer.optimizers).values()
        facts["bytes"] = {name: sum(local(tensor).nbytes for tensor in tensors)
                          for name, tensors in (("weights", trainer.params), ("optimizer", states))}  # fmt: skip
        facts["adamw"] = several(ready(dataset, ranks, optimizer="adamw"))
        half = ready(dataset, ranks, "bf16", activation_checkpointing="full")
        facts |= {"bf16": [half.step(step)["loss"] for step in range(2)], "types": types_in_a_pass(half)}
        sampled(half, folder / "half", run)
        matrices = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(2))
        rows = matrices.chunk(2, dim=1)[ranks.rank]
        group = torch.distributed.group.WORLD
        assert group is not None
        found = orthogonalised_shards(rows, 5, group).contiguous()
        save_file({"rows": found}, folder / f"rows-{ranks.rank}.safetensors")
        facts["steps"] = train(dataset, run, settings(), ranks=ranks).steps
        if ranks.first:  # the other rank leaves, and so does not validate
            try:
                trainer.evaluate()
            except RushesError as error:
                facts["lost"] = str(error)
        (folder / f"{ranks.rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
