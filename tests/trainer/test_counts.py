"""Parameters in closed form are those of the built model, tensor by tensor, and so are the optimizers' states."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from trainer.config import MODELS, ModelConfig, TrainConfig
from trainer.counts import dimensions
from trainer.dit import DitConfig, WanDit
from trainer.flops import built_dimensions
from trainer.grid import CHANNELS
from trainer.model import Model
from trainer.optimizers import make_optimizers
from trainer.refiner import Refiner


def built(config: ModelConfig, channels: int, features: int, refined: bool, pad: int) -> Model:
    """The model as loop.build_model makes it, without its numbers."""
    with torch.device("meta"):
        refiner = Refiner(features, config.refiner_dim, config.refiner_layers if refined else 0)
        dit = WanDit(DitConfig(
            patch_size=config.patch, num_attention_heads=config.heads, attention_head_dim=config.head_dim,
            in_channels=channels + (CHANNELS if config.coordinates else 0), out_channels=channels,
            text_dim=refiner.dim, ffn_dim=config.ffn_dim, num_layers=config.layers, text_pad_to=pad,
        ))  # fmt: skip
        return Model(dit, refiner)


@pytest.mark.parametrize("refined", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_parameters_of_every_size_are_counted(name, refined):
    model = built(MODELS[name], 16, 4096, refined, 512)
    wanted = dimensions(MODELS[name], 16, 4096, refined=refined, text_pad_to=512)
    assert built_dimensions(model).tensors() == wanted.tensors()
    shapes = Counter()
    for (_, shape), count in wanted.tensors().items():
        shapes[math.prod(shape)] += count
    assert shapes == Counter(param.numel() for param in model.parameters())
    assert wanted.parameters == sum(param.numel() for param in model.parameters())
    muon = make_optimizers(dict(model.named_parameters()), TrainConfig(optimizer="muon"))["muon"]
    hidden = Counter({shape: n for (kind, shape), n in wanted.tensors().items() if kind == "hidden"})
    assert hidden == Counter(tuple(model.get_parameter(name).shape) for name in muon.names)
