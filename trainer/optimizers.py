"""Which parameter is moved by which optimizer, and their states under the parameters' own names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from trainer.config import TrainConfig
from trainer.muon import Muon

# A second-moment memory of 100 steps, for runs of hundreds or thousands of steps. Chosen, not ablated.
_BETAS = (0.9, 0.99)
_FIELDS = {"adamw": ("step", "exp_avg", "exp_avg_sq"), "muon": ("momentum",)}
# Input and output maps are not hidden matrices: their rows are channels with meanings and sizes of their own.
_NOT_HIDDEN = ("patch_embedding", "proj_out", "refiner.project", "time_embedder.linear_1")


@dataclass(frozen=True)
class NamedOptimizer:
    """An optimizer and the names of its parameters, in its own order."""

    optimizer: torch.optim.Optimizer
    names: list[str]

    def set_rate(self, rate: float) -> None:
        """Set the learning rate and drop the last step's gradients."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Move the parameters."""
        self.optimizer.step()


def make_optimizers(
    named: dict[str, nn.Parameter], config: TrainConfig, precision: str = "fp32"
) -> dict[str, NamedOptimizer]:
    """Give hidden matrices to Muon (if the config says so) and all else to AdamW.

    Norms, biases and tables are scales, not maps: decaying them to zero would only fight the data.
    """
    hidden = [
        name for name, param in named.items()
        if config.optimizer == "muon" and param.ndim == 2 and not any(part in name for part in _NOT_HIDDEN)
    ]  # fmt: skip
    rest = [name for name in named if name not in set(hidden)]
    maps = [name for name in rest if named[name].ndim > 1 and named[name].shape[0] > 1]
    # What is sharded and what is not cannot be moved in one fused call.
    scales = [name for name in rest if name not in set(maps) and not isinstance(named[name], DTensor)]
    shards = [name for name in rest if name not in set(maps + scales)]
    groups: list[dict[str, Any]] = [
        {"params": [named[name] for name in names], "weight_decay": decay}
        for names, decay in ((maps, config.weight_decay), (scales, 0.0), (shards, 0.0))
    ]
    adamw = torch.optim.AdamW(groups, lr=config.lr, betas=_BETAS, fused=True)
    made = {"adamw": NamedOptimizer(adamw, maps + scales + shards)}
    if hidden:
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        muon = Muon([named[name] for name in hidden], config.lr, weight_decay=config.weight_decay, dtype=dtype)
        made["muon"] = NamedOptimizer(muon, hidden)
    return made


def optimizer_tensors(optimizers: dict[str, NamedOptimizer]) -> dict[str, Tensor]:
    """Return the optimizers' states as tensors named optimizer/parameter/field."""
    tensors = {}
    for kind, made in optimizers.items():
        for number, entry in made.optimizer.state_dict()["state"].items():
            tensors |= {f"{kind}/{made.names[number]}/{field}": value for field, value in entry.items()}
    return tensors


def blank_states(optimizers: dict[str, NamedOptimizer], names: Iterable[str]) -> dict[str, Tensor]:
    """Return zeros for the whole states of the parameters that these names (of `optimizer_tensors`) are about.

    A parameter that no step has used yet has no state; names of none of the optimizers' parameters are passed over.
    """
    with_state, tensors = {name.rpartition("/")[0] for name in names}, {}
    for kind, made in optimizers.items():
        params = [param for group in made.optimizer.param_groups for param in group["params"]]
        for name, param in zip(made.names, params, strict=True):
            for field in _FIELDS[kind] if f"{kind}/{name}" in with_state else ():
                blank = torch.zeros((), device=param.device) if field == "step" else torch.zeros_like(param.detach())
                tensors[f"{kind}/{name}/{field}"] = blank
    return tensors


def restore_optimizers(optimizers: dict[str, NamedOptimizer], tensors: dict[str, Tensor]) -> None:
    """Undo `optimizer_tensors`."""
    for kind, made in optimizers.items():
        numbers = {name: number for number, name in enumerate(made.names)}
        state: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            owner, name, field = key.split("/")
            if owner == kind:
                state.setdefault(numbers[name], {})[field] = value
        groups = made.optimizer.state_dict()["param_groups"]
        made.optimizer.load_state_dict({"state": state, "param_groups": groups})
