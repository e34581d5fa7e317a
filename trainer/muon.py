"""Muon: momentum whose matrix is made orthogonal before it is applied (Jordan et al. 2024).

Every direction of a weight matrix then moves equally far, the rare ones too. The update is scaled to AdamW's size
(Liu et al. 2025), so one learning rate serves both. It is torch.optim.Muon with `match_rms_adamw`, which works in
bfloat16 and one matrix at a time; here matrices of equal shape are orthogonalised in one batch, in the precision of
the run: without bfloat16 instructions a CPU would take many times as long.

Matrices that are sharded by rows (sharding.py) are dealt out: each rank gets whole ones from the others, a share of
those of a shape, and sends every rank its rows of the directions. So each is made orthogonal once, and a step sends
every matrix twice, in the precision of the orthogonalisation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn import functional as F

# Quintic Newton-Schulz: five rounds bring singular values from [0.002, 1] into about [0.7, 1.2].
_ROUNDS, _A, _B, _C = 5, 3.4445, -4.7750, 2.0315
# AdamW's updates have a root mean square of about 0.2 of the learning rate.
_ADAMW_RMS = 0.2


class Muon(torch.optim.Optimizer):
    """Muon over weight matrices; state is one `momentum` a matrix. `dtype` is that of the orthogonalisation alone."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step with the gradients that are there."""
        for group in self.param_groups:
            same_shape: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for param in group["params"]:
                if param.grad is not None:
                    same_shape[(param.shape[0], param.shape[1])].append(param)
            for params in same_shape.values():
                self._step_batch(params, group)

    def _step_batch(self, params: list[Tensor], group: dict[str, Any]) -> None:
        moved = []
        for param in params:
            assert param.grad is not None
            state = self.state[param]
            if "momentum" not in state:
                state["momentum"] = torch.zeros_like(param)
            grad, momentum = _local(param.grad), _local(state["momentum"])
            momentum.lerp_(grad, 1 - group["momentum"])
            moved.append(grad.lerp(momentum, group["momentum"]))
        stacked, first = torch.stack(moved).to(self.dtype), params[0]
        if isinstance(first, DTensor):
            directions = orthogonalised_shards(stacked, first.shape[0], first.device_mesh.get_group())
        else:
            directions = orthogonalised(stacked)
        size = group["lr"] * _ADAMW_RMS * max(first.shape) ** 0.5
        for param, direction in zip(params, directions, strict=True):
            _local(param).mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-size)


def orthogonalised(matrices_NRC: Tensor) -> Tensor:
    """Return matrices with the same singular vectors and singular values near 1, (N, rows, columns)."""
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x = matrices_NRC.transpose(1, 2) if tall else matrices_NRC
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-12)
    for _ in range(_ROUNDS):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.transpose(1, 2) if tall else x


def orthogonalised_shards(shards_NrC: Tensor, rows: int, group: dist.ProcessGroup) -> Tensor:
    """`orthogonalised` of matrices of which each rank has the rows that `torch.chunk` deals it; returns these rows.

    All ranks of the group call it, with the same N and columns.
    """
    count, own, columns = shards_NrC.shape
    world = dist.get_world_size(group)
    share, chunk = -(-count // world), -(-rows // world)
    # All have as many matrices and rows; what is not there is zero.
    padded = F.pad(shards_NrC, (0, 0, 0, chunk - own, 0, share * world - count))
    sent = padded.view(world, share, chunk, columns)
    mine = _exchanged(sent, group).transpose(0, 1).reshape(share, world * chunk, columns)[:, :rows]
    directions = F.pad(orthogonalised(mine), (0, 0, 0, world * chunk - rows))
    back = _exchanged(directions.view(share, world, chunk, columns).transpose(0, 1), group)
    return back.view(world * share, chunk, columns)[:count, :own]


def _exchanged(blocks: Tensor, group: dist.ProcessGroup) -> Tensor:
    """Send the r-th block to rank r; return the blocks that were sent here, by sender."""
    sent = blocks.contiguous()
    received = torch.empty_like(sent)
    dist.all_to_all_single(received, sent, group=group)
    return received


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
