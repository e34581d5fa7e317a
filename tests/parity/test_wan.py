"""Our transformer against diffusers' WanTransformer3DModel, with the same random weights."""

from __future__ import annotations

import warnings

import pytest
import torch

from trainer.config import MODELS
from trainer.dit import DitConfig, WanDit, initialise

with warnings.catch_warnings():
    # diffusers' imports raise deprecation warnings of their own dependencies.
    warnings.simplefilter("ignore")
    from diffusers import WanTransformer3DModel

CONFIG = DitConfig(
    num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=16, ffn_dim=32,
    num_layers=2, rope_max_seq_len=32,
)  # fmt: skip


@pytest.fixture(scope="module")
def pair() -> tuple[WanDit, WanTransformer3DModel]:
    torch.manual_seed(0)
    kwargs = {k: v for k, v in CONFIG.diffusers_json().items() if not k.startswith("_")}
    theirs = WanTransformer3DModel(**kwargs).eval()
    ours = WanDit(CONFIG).eval()
    # Zero biases and unit norms would hide a swapped pair: every parameter gets random numbers.
    state = {k: torch.randn_like(v) * 0.2 + (1.0 if "norm" in k else 0.0) for k, v in theirs.state_dict().items()}
    theirs.load_state_dict(state, strict=True)
    ours.load_state_dict(state, strict=True)
    return ours, theirs


def inputs(words: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randn(2, 4, 3, 8, 6, generator=generator),
        torch.randn(2, words, 16, generator=generator),
    )


def test_names_and_shapes_are_the_same_both_ways(pair):
    ours, theirs = pair
    theirs.load_state_dict(ours.state_dict(), strict=True)
    shapes = [{name: value.shape for name, value in model.state_dict().items()} for model in pair]
    assert shapes[0]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("time", ["clip", "frame", "token", "indexed"])
def test_output_equals_diffusers(pair, time):
    ours, theirs = pair
    latent, text = inputs()
    tokens_per_frame, frames = 12, 3
    clip_times = torch.tensor([700.0, 31.0])
    frame_times = torch.tensor([[0.0, 500.0, 900.0], [250.0, 250.0, 0.0]])
    token_times = frame_times.repeat_interleave(tokens_per_frame, dim=1)
    index = torch.arange(frames).repeat_interleave(tokens_per_frame).expand(2, -1)
    with torch.no_grad():
        if time == "clip":
            wanted, got = theirs(latent, clip_times, text).sample, ours(latent, clip_times, text)
        else:
            wanted = theirs(latent, token_times, text).sample
            got = {
                "frame": lambda: ours(latent, frame_times, text),
                "token": lambda: ours(latent, token_times, text),
                "indexed": lambda: ours(latent, frame_times, text, time_index_BL=index),
            }[time]()
    assert wanted.std() > 0.1
    assert (wanted - got).abs().max() < 1e-5


def test_one_zero_token_stands_for_all_of_wans_padding(pair):
    ours, theirs = pair
    latent, text = inputs()
    padded = torch.cat([text, torch.zeros(2, 16 - 7, 16)], dim=1)
    ours_padded = WanDit(DitConfig(**{**CONFIG.__dict__, "text_pad_to": 16}))
    ours_padded.load_state_dict(ours.state_dict())
    time = torch.tensor([700.0, 31.0])
    with torch.no_grad():
        wanted = theirs(latent, time, padded).sample
        assert (wanted - ours_padded(latent, time, text)).abs().max() < 1e-5
        assert (wanted - ours(latent, time, text)).abs().max() > 1e-4


def test_masked_words_change_nothing(pair):
    ours, _ = pair
    latent, text = inputs()
    time = torch.tensor([700.0, 31.0])
    longer = torch.cat([text, torch.randn(2, 3, 16)], dim=1)
    bias = torch.zeros(2, 10)
    bias[:, 7:] = -torch.inf
    with torch.no_grad():
        assert (ours(latent, time, text) - ours(latent, time, longer, bias)).abs().max() < 1e-5


def test_sdpa_and_plain_attention_agree(pair, monkeypatch):
    ours, _ = pair
    latent, text = inputs()
    time = torch.tensor([700.0, 31.0])
    with torch.no_grad():
        plain = ours(latent, time, text)
        monkeypatch.setattr("trainer.attention.PLAIN_ATTENTION_SCORES", 0)
        assert (plain - ours(latent, time, text)).abs().max() < 1e-5


def test_initialised_model_predicts_zero():
    torch.manual_seed(0)
    model = WanDit(CONFIG)
    initialise(model)
    latent, text = inputs()
    with torch.no_grad():
        assert model(latent, torch.tensor([700.0, 31.0]), text).abs().max() == 0


# The sizes that Wan publishes (in and out channels, text 4096): diffusers' own defaults are the 14B's.
PUBLISHED = {"dit-1.3b": (16, 1_418_996_800), "dit-5b": (48, 4_999_787_712), "dit-14b": (16, 14_288_491_584)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_named_sizes_are_wans_parameter_by_parameter(name):
    dims, (channels, count) = MODELS[name], PUBLISHED[name]
    config = DitConfig(
        num_attention_heads=dims.heads, attention_head_dim=dims.head_dim, in_channels=channels, out_channels=channels,
        text_dim=4096, ffn_dim=dims.ffn_dim, num_layers=dims.layers, patch_size=dims.patch,
    )  # fmt: skip
    with torch.device("meta"):
        ours = WanDit(config)
        default = {} if name == "dit-14b" else {k: v for k, v in config.diffusers_json().items() if k[0] != "_"}
        theirs = WanTransformer3DModel(**default)
    shapes = [{key: value.shape for key, value in model.state_dict().items()} for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert sum(parameter.numel() for parameter in ours.parameters()) == count
