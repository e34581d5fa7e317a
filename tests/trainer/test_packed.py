"""Clips in a pack get the numbers and the gradients that each gets alone, by every attention there is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from trainer import attention
from trainer.attention import Segments, attend, attend_pack, flash
from trainer.dit import DitConfig, WanDit
from trainer.grid import CHANNELS
from trainer.model import Model
from trainer.packed import PackedClip, forward_packed, model_packed
from trainer.refiner import Refiner

CONFIG = DitConfig(
    num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=16, ffn_dim=32, num_layers=2,
)  # fmt: skip
SIZES = ((3, 4, 6), (1, 8, 4), (3, 4, 6), (2, 2, 2), (1, 4, 8))
WORDS = (5, 1, 5, 7, 3)


def model(**changes) -> WanDit:
    torch.manual_seed(0)
    dit = WanDit(DitConfig(**{**CONFIG.__dict__, **changes}))
    for name, value in dit.named_parameters():
        value.data = torch.randn_like(value) * 0.2 + (1.0 if "norm" in name else 0.0)
    return dit


def clips() -> list[PackedClip]:
    """Clips of unequal sizes and texts; one frame is known, and in the last clip some tokens are."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for (frames, height, width), words in zip(SIZES, WORDS, strict=True):
        times = 1000 * torch.rand(frames, generator=generator)
        times[0] = 0.0 if frames > 2 else times[0]
        latent = torch.randn(4, frames, height, width, generator=generator)
        made.append(PackedClip(latent, times, torch.randn(words, 16, generator=generator)))
    inpainted = made[-1].timestep[:, None, None] * (torch.rand(1, 2, 4, generator=generator) > 0.4)
    made[-1] = PackedClip(made[-1].latent_CTHW, inpainted, made[-1].text_SF)
    return made


def alone(dit: WanDit, clip: PackedClip) -> Tensor:
    return dit(clip.latent_CTHW[None], clip.timestep.reshape(1, -1), clip.text_SF[None])[0]


@pytest.mark.parametrize("text_pad_to", [0, 9])
def test_outputs_and_gradients_of_a_pack_are_those_of_each_clip_alone(text_pad_to):
    dit, given = model(text_pad_to=text_pad_to), clips()
    together, separate = forward_packed(dit, given), [alone(dit, clip) for clip in given]
    differences = [float((a - b).detach().abs().max()) for a, b in zip(together, separate, strict=True)]
    assert max(differences) <= 1e-5
    torch.manual_seed(2)
    directions = [torch.randn_like(out) / out.numel() for out in separate]
    parameters = list(dit.parameters())
    gradients = [
        torch.autograd.grad(sum((o * d).sum() for o, d in zip(outs, directions, strict=True)), parameters)
        for outs in (together, separate)
    ]
    assert max(float((a - b).abs().max()) for a, b in zip(*gradients, strict=True)) <= 1e-5
    assert min(float(b.abs().max()) for b in gradients[1]) > 0


def test_a_whole_model_in_a_pack_gives_what_it_gives_each_clip_alone():
    torch.manual_seed(0)
    refiner = Refiner(16, 32, 2)
    whole = Model(model(in_channels=4 + CHANNELS, text_dim=32), refiner)
    given = clips()
    with torch.no_grad():
        for clip, out in zip(given, model_packed(whole, given), strict=True):
            bias = torch.zeros(1, len(clip.text_SF))
            times = clip.timestep.reshape(1, -1)
            alone = whole(clip.latent_CTHW[None], times, clip.text_SF[None], bias)[0]
            assert (alone - out).abs().max() <= 1e-5
            assert alone.abs().max() > 0.1


def test_what_other_clips_hold_does_not_matter_in_any_bit():
    dit, given = model(), clips()
    with torch.no_grad():
        before = forward_packed(dit, given)
        other = [PackedClip(clip.latent_CTHW * 3 + 1, clip.timestep, clip.text_SF * 2) for clip in given]
        after = forward_packed(dit, [given[0], *other[1:]])
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])


def masked(query, key, value, query_offsets, key_offsets, most_queries, most_keys) -> Tensor:
    """All clips at once under a mask, with the signature of `varlen_attn`, which has no CPU kernel."""
    assert most_queries == int(query_offsets.diff().max())
    assert most_keys == int(key_offsets.diff().max())
    owner_L, owner_S = (
        torch.repeat_interleave(torch.arange(len(offsets) - 1), offsets.diff().long())
        for offsets in (query_offsets, key_offsets)
    )
    mask = owner_L[:, None] == owner_S[None]
    parts = (x.transpose(0, 1)[None] for x in (query, key, value))
    return torch.nn.functional.scaled_dot_product_attention(*parts, attn_mask=mask)[0].transpose(0, 1)


@pytest.mark.parametrize("limit", [0, attention.PLAIN_ATTENTION_SCORES])
def test_the_flash_layout_and_the_grouped_calls_agree_with_a_masked_whole(limit, monkeypatch):
    monkeypatch.setattr(attention, "PLAIN_ATTENTION_SCORES", limit)
    torch.manual_seed(0)
    segments = Segments.of([5, 3, 5, 1], [2, 7, 2, 4], torch.device("cpu"))
    query, key, value = (torch.randn(1, 2, length, 16) for length in (14, 15, 15))
    grouped = attend_pack(query, key, value, segments)
    assert (flash(query, key, value, segments, masked) - grouped).abs().max() <= 1e-5
    first = attend(query[:, :, :5], key[:, :, :2], value[:, :, :2], None)
    assert (grouped[:, :, :5] - first).abs().max() <= 1e-6


def test_a_pack_through_the_flash_layout_gives_the_model_the_same_numbers(monkeypatch):
    dit, given = model(attention_head_dim=16), clips()
    with torch.no_grad():
        wanted = forward_packed(dit, given)
        monkeypatch.setattr(attention, "attend_pack", lambda q, k, v, segments: flash(q, k, v, segments, masked))
        got = forward_packed(dit, given)
    assert max(float((a - b).abs().max()) for a, b in zip(got, wanted, strict=True)) <= 1e-5


@pytest.mark.skipif(not torch.cuda.is_available(), reason="variable-length flash attention runs on CUDA alone")
def test_flash_on_cuda_gives_the_grouped_numbers():
    segments = Segments.of([70, 33], [9, 128], torch.device("cuda"))
    query, key, value = (
        torch.randn(1, 2, length, 64, device="cuda", dtype=torch.bfloat16) for length in (103, 137, 137)
    )
    slow = attend_pack(query.cpu(), key.cpu(), value.cpu(), Segments.of([70, 33], [9, 128], torch.device("cpu")))
    assert (attend_pack(query, key, value, segments).cpu() - slow).abs().max() < 2e-2


def test_a_pack_of_nothing_is_refused():
    for queries, keys in (([], []), ([3], []), ([3, 0], [1, 1])):
        with pytest.raises(ValueError, match="a pack of"):
            Segments.of(queries, keys, torch.device("cpu"))


def test_positions_shifted_by_a_constant_change_nothing():
    torch.manual_seed(0)
    layer = attention.Attention(24, 2, 1e-6)
    from trainer.rope import rotations

    positions = rotations((4, 5, 6), 12, torch.device("cpu")).view(4, 5, 6, -1)
    x = torch.randn(1, 2 * 3 * 4, 24)
    with torch.no_grad():
        here, there, turned = (
            layer(x, x, part.flatten(0, 2))
            for part in (positions[:2, :3, :4], positions[2:4, 2:5, 1:5], positions[:2, :3, :4].flip(0))
        )
    assert (here - there).abs().max() <= 1e-5
    assert (here - turned).abs().max() > 1e-4
