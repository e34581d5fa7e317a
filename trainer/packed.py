"""Clips of any sizes as one sequence, none of which sees another: the numbers of each alone, in one pass.

Legend: C channels, T latent frames, H, W; L tokens of all clips, S words of all texts, F features, P patch numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from trainer.attention import Segments
from trainer.dit import Spread, WanDit
from trainer.flow import token_times
from trainer.grid import with_coordinates
from trainer.rope import rotations

if TYPE_CHECKING:
    from trainer.model import Model


@dataclass(frozen=True)
class PackedClip:
    """A noised clip, its times (in 0 to 1000) and its text, which has no padding.

    Times are one a frame, (T,), or one a token, (T, h, w).
    """

    latent_CTHW: Tensor
    timestep: Tensor
    text_SF: Tensor


def forward_packed(dit: WanDit, clips: Sequence[PackedClip]) -> list[Tensor]:
    """Return the prediction for each clip, (C, T, H, W), float32.

    Wan's padded words are there literally: flash attention knows no bias. Raises ValueError on latents that cannot be
    cut into patches.
    """
    device = clips[0].latent_CTHW.device
    cuts = [dit.patches(clip.latent_CTHW[None]) for clip in clips]
    lengths = [patches_1LP.shape[1] for patches_1LP, _ in cuts]
    texts = [_padded(clip.text_SF, dit.config.text_pad_to) for clip in clips]
    times, places, before = [], [], 0
    for clip, length in zip(clips, lengths, strict=True):
        time_1K, index = token_times(clip.timestep[None])
        frames = torch.arange(time_1K.shape[1], device=device)
        index_L = frames.repeat_interleave(length // len(frames)) if index is None else index[0]
        times.append(time_1K[0])
        places.append(index_L + before)
        before += time_1K.shape[1]
    words = [len(text_SF) for text_SF in texts]
    pack = Segments.of(lengths, lengths, device), Segments.of(lengths, words, device)
    positions = torch.cat([rotations(grid, dit.config.attention_head_dim, device) for _, grid in cuts])
    predicted_1LP = dit.through(
        torch.cat([patches for patches, _ in cuts], dim=1), torch.cat(times)[None], torch.cat(texts)[None], None,
        Spread(torch.cat(places)[None]), positions, pack,
    )  # fmt: skip
    parts = predicted_1LP.split(lengths, dim=1)
    return [dit.unpatched(part, grid)[0] for part, (_, grid) in zip(parts, cuts, strict=True)]


def model_packed(model: Model, clips: Sequence[PackedClip]) -> list[Tensor]:
    """`forward_packed` of a whole model: coordinates are added, and the refiner reads the texts as a padded batch."""
    dit = model.dit
    texts = [clip.text_SF for clip in clips]
    text_BSF = pad_sequence(texts, batch_first=True)
    words_B = torch.tensor([len(text) for text in texts], device=text_BSF.device)
    beyond = torch.arange(text_BSF.shape[1], device=text_BSF.device)[None] >= words_B[:, None]
    refined = model.refiner(text_BSF, torch.zeros_like(text_BSF[..., 0]).masked_fill(beyond, -torch.inf))
    more = dit.config.in_channels > dit.config.out_channels
    ready = [
        PackedClip(with_coordinates(clip.latent_CTHW[None])[0] if more else clip.latent_CTHW, clip.timestep, text)
        for clip, text in zip(clips, (row[: len(text)] for row, text in zip(refined, texts, strict=True)), strict=True)
    ]
    return forward_packed(dit, ready)


def _padded(text_SF: Tensor, count: int) -> Tensor:
    return torch.cat([text_SF, text_SF.new_zeros(max(0, count - len(text_SF)), text_SF.shape[1])])
