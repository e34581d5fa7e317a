"""A model shared out over the ranks by torch's FSDP2: a rank holds its rows of every matrix, and gathers a block's.

Shared out are the parameters, and with them gradients, averages and optimizer states: all are DTensors of equal
placement. A block is gathered before it runs, forward and backward, and let go after; what is around the blocks is
gathered once a pass. In bf16 the linear layers of the blocks travel in bf16 and gradients are added up in float32;
master weights stay float32. A block's norms and table are float32 in the computation too, as diffusers keeps them, and
so cannot be of its group: they are not shared out (12 numbers a channel of each block) and are added up as replicas.

The loss is over the numbers of all ranks, so gradients are added up, not averaged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import clip_grad_norm_, clip_grads_with_norm_, get_total_norm

from trainer.dit import DitConfig, WanDit
from trainer.exported import refiner_json
from trainer.model import Model
from trainer.ranks import Ranks
from trainer.refiner import Refiner

# Parts of the names of what stays float32, and whole, in a block.
_WHOLE = ("norm", "scale_shift_table")


def placed(full: Model | None, ranks: Ranks, precision: str, *, sharded: bool) -> Model:
    """Return the first rank's model on the device of each rank, sharded or whole; only the first one has it before.

    No rank but the first ever holds all of a sharded model, and the first holds it in the memory of its CPU.
    """
    if ranks.world == 1 and full is not None:
        return full.to(ranks.device)
    with torch.device("meta"):
        model = like(ranks.told(sizes(full) if full else None))
    if sharded:
        shard(model, ranks, precision)
    model.to_empty(device=ranks.device)
    values = full.state_dict() if full else {}
    for name, param in model.named_parameters():
        empty = torch.empty(param.shape, dtype=param.dtype, device=ranks.device)
        value = values[name].to(ranks.device) if full else empty
        ranks.copy_first([value])
        put(param, value)
    return model


def sizes(model: Model) -> dict[str, dict]:
    """Return what `like` makes such a model of, as JSON values."""
    return {"dit": asdict(model.dit.config), "refiner": refiner_json(model.refiner)}


def like(sizes: Mapping[str, dict]) -> Model:
    """Return a model of these sizes, whatever its numbers."""
    dit = DitConfig(**{**sizes["dit"], "patch_size": tuple(sizes["dit"]["patch_size"])})
    return Model(WanDit(dit), Refiner(**sizes["refiner"]))


def shard(model: Model, ranks: Ranks, precision: str) -> None:
    """Share out a model's parameters over all ranks, in place; names stay as they are."""
    mesh = init_device_mesh(ranks.device.type, (ranks.world,))
    half = MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False)
    policy = half if precision == "bf16" else MixedPrecisionPolicy()
    for block in model.dit.blocks:
        whole = {param for name, param in block.named_parameters() if any(part in name for part in _WHOLE)}
        fully_shard(block, mesh=mesh, mp_policy=policy, ignored_params=whole)
    fully_shard(model, mesh=mesh)
    register_fsdp_forward_method(model, "packed")
    for module in model.modules():
        if isinstance(module, FSDPModule):
            # A sum: with the factor alone, gloo would be asked for an operation that it does not have.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def put(target: Tensor, value: Tensor) -> None:
    """Copy a whole tensor, which every rank has, into a tensor or into each rank's shard of it."""
    value = value.to(target.device)
    if isinstance(target, DTensor):
        value = distribute_tensor(value, target.device_mesh, target.placements, src_data_rank=None)
    with torch.no_grad():
        local(target).copy_(local(value))


def local(tensor: Tensor) -> Tensor:
    """Return what this rank holds of a tensor: its shard, sharing memory, or all."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor. Where it is sharded, all ranks must ask for it together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def replicas(params: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """Return the parameters that every rank has whole."""
    return [param for param in params if not isinstance(param, DTensor)]


def clip_gradients(params: Sequence[nn.Parameter], most: float) -> float:
    """Scale the gradients so that their norm over all parameters and ranks is at most `most`; return it before."""
    mine = replicas(params)
    if len(mine) == len(params):
        return float(clip_grad_norm_(params, most))
    parts = [mine, [param for param in params if isinstance(param, DTensor)]]
    norms = [whole(get_total_norm([p.grad for p in part if p.grad is not None])) for part in parts]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    for part in parts:
        clip_grads_with_norm_(part, most, norm)
    return float(norm)


@contextmanager
def swapped(model: Model, params: Sequence[nn.Parameter], others: Sequence[Tensor]) -> Iterator[Model]:
    """Give a model other values, in place, and its own back after; `others` hold its own meanwhile.

    Only one parameter more is in memory. A sharded model lets go of what it has gathered: that has the old values.
    """
    _swap(model, params, others)
    model.eval()
    try:
        yield model
    finally:
        _swap(model, params, others)
        model.train()


@torch.no_grad()
def _swap(model: nn.Module, params: Sequence[nn.Parameter], others: Sequence[Tensor]) -> None:
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()
    for param, other in zip(params, others, strict=True):
        mine, its = local(param), local(other)
        kept = mine.clone()
        mine.copy_(its)
        its.copy_(kept)
