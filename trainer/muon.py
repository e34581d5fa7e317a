"""Muon: momentum whose matrix is made orthogonal before it is applied (Jordan et al. 2024).

Every direction of a weight matrix then moves equally far, the rare ones too. The update is scaled to AdamW's size
(Liu et al. 2025), so one learning rate serves both. It is torch.optim.Muon with `match_rms_adamw`, which works in
bfloat16 and one matrix at a time; here matrices of equal shape are orthogonalised in one batch, in the precision of
the run: without bfloat16 instructions a CPU would take many times as long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

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
            state["momentum"].lerp_(param.grad, 1 - group["momentum"])
            moved.append(param.grad.lerp(state["momentum"], group["momentum"]))
        directions = orthogonalised(torch.stack(moved).to(self.dtype))
        size = group["lr"] * _ADAMW_RMS * max(params[0].shape) ** 0.5
        for param, direction in zip(params, directions, strict=True):
            param.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-size)


def orthogonalised(matrices_NRC: Tensor) -> Tensor:
    """Return matrices with the same singular vectors and singular values near 1, (N, rows, columns)."""
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x = matrices_NRC.transpose(1, 2) if tall else matrices_NRC
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-12)
    for _ in range(_ROUNDS):
        gram = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.transpose(1, 2) if tall else x
