"""What two ranks do with checkpoints for test_ranks.py: sharded and whole tensors, saved and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from curate.errors import RushesError
from trainer.checkpoint import Checkpoints
from trainer.ranks import Ranks

# Also what two ranks cannot share evenly, or not at all.
SHAPES = {"even": (4, 3), "uneven": (5, 2), "row": (1, 6), "vector": (3,), "number": ()}
Named = dict[str, Tensor]


def whole(step: int) -> Named:
    """The values of a step, in plain tensors."""
    return {name: step + torch.arange(float(torch.Size(shape).numel())).reshape(shape)
            for name, shape in SHAPES.items()}  # fmt: skip


def sharded(plain: Named) -> Named:
    """The same as DTensors over two ranks, but for what has no rows."""
    mesh = init_device_mesh("cpu", (2,))
    return {name: distribute_tensor(tensor, mesh, [Shard(0)]) if tensor.ndim else tensor
            for name, tensor in plain.items()}  # fmt: skip


def equal(found: Named, step: int) -> bool:
    """Whether the tensors have the values of a step; all ranks together."""
    full = {name: value.full_tensor() if isinstance(value, DTensor) else value for name, value in found.items()}
    return all(torch.equal(full[name], value) for name, value in whole(step).items())


def checkpoint_facts(ranks: Ranks, folder: Path) -> dict[str, Any]:
    """Save step 1 whole and step 2 sharded, each read again both ways; then let the second rank's disk refuse."""
    facts: dict[str, Any] = {}
    for step, saved in ((1, whole(1)), (2, sharded(whole(2)))):
        with Checkpoints(folder, "k", ranks) as checkpoints:
            checkpoints.save(step, {"weights": saved})
            for value in saved.values():
                value.fill_(-1)
            checkpoints.wait()
            newest = checkpoints.newest()
            assert newest is not None
            for how, blank in (("whole", whole(0)), ("sharded", sharded(whole(0)))):
                checkpoints.load(newest, {"weights": blank})
                facts[f"{step} as {how}"] = newest.step == step and equal(blank, step)
    facts["files"] = sorted(path.name for path in newest.folder.iterdir())
    # Step 3: the second rank cannot write its file, since a folder has its name.
    checkpoints = Checkpoints(folder, "k", ranks)
    clear = checkpoints._clear

    def blocked(work: Path) -> None:
        clear(work)
        (work / "shard-00001.safetensors").mkdir()

    checkpoints._clear = blocked
    try:
        with checkpoints:
            checkpoints.save(3, {"weights": whole(3)})
    except RushesError as error:
        facts["refused"] = f"{type(error).__name__}: {error}"
    return facts
