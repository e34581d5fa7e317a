"""The loss of a group of clips of one shape, in one call, and of a pack of clips of any shapes, in one pass.

Both are the same numbers but for rounding. A pass of the whole model is what sharded ranks must take equally often.
Legend: B clips, C channels, T latent frames, H, W; S words, F features.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer import flow
from trainer.data import Group
from trainer.dit import TIME_SCALE
from trainer.model import Model
from trainer.packed import PackedClip


def group_loss(model: Model, group: Group, objective: str, precision: str) -> tuple[Tensor, Tensor]:
    """Return the weighted squared error of a group, and the count of numbers it is over (flow.squared_error)."""
    time_BK, *index = (part for part in flow.token_times(group.time_BT) if part is not None)
    with _autocast(group.clean_BCTHW.device, precision):
        prediction = model(_noised(group), TIME_SCALE * time_BK, group.text_BSF, group.text_bias_BS, *index)
    return _squares(group, prediction, objective)


def pack_loss(model: Model, groups: Sequence[Group], objective: str, precision: str, device: torch.device) -> Tensor:
    """Return the weighted squared error of the clips of a pack, which may have none: it is 0 then, after a pass."""
    clips, there = [], []
    for group in groups:
        # Asked on CPU: a GPU would have to be waited for.
        words_B = torch.isfinite(group.text_bias_BS).sum(dim=1).tolist()
        there.append(group.to(device))
        given = zip(_noised(there[-1]), there[-1].time_BT, there[-1].text_BSF, words_B, strict=True)
        clips += [PackedClip(latent, TIME_SCALE * time, text[:words]) for latent, time, text, words in given]
    with _autocast(device, precision):
        predictions = model.packed(clips or [_nothing(model, device)])
    if not there:
        return 0.0 * predictions[0].sum()
    total, at = predictions[0].new_zeros(()), 0
    for group in there:
        count = len(group.clip_ids)
        total = total + _squares(group, torch.stack(predictions[at : at + count]), objective)[0]
        at += count
    return total


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def _noised(group: Group) -> Tensor:
    return flow.noised(group.clean_BCTHW, group.noise_BCTHW, group.time_BT)


def _squares(group: Group, prediction_BCTHW: Tensor, objective: str) -> tuple[Tensor, Tensor]:
    error = flow.velocity_error(objective, prediction_BCTHW, group.clean_BCTHW, group.noise_BCTHW, group.time_BT)
    return flow.squared_error(error, group.known_BT, group.weight_B)


def _nothing(model: Model, device: torch.device) -> PackedClip:
    """The smallest clip there is: a patch of zeros and a word of zeros."""
    config, refiner = model.dit.config, model.refiner
    features = refiner.project.in_features if refiner.blocks else config.text_dim
    latent = torch.zeros(config.out_channels, *config.patch_size, device=device)
    return PackedClip(latent, torch.ones(config.patch_size[0], device=device), torch.zeros(1, features, device=device))
