"""Small parts: the refiner's masks, coordinates, the starting preference of heads, metrics, normalisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from curate.errors import SpecError
from trainer.attention import Attention
from trainer.config import TrainConfig
from trainer.data import pad_text
from trainer.dit import look_at_neighbours
from trainer.grid import CHANNELS, coordinates, with_coordinates
from trainer.metrics import precision_for
from trainer.normaliser import Normaliser
from trainer.refiner import Refiner
from trainer.rope import rotate, rotations


def test_refined_words_do_not_see_padding_and_do_see_one_another():
    torch.manual_seed(0)
    refiner = Refiner(16, 32, 2).eval()
    rng = np.random.default_rng(0)
    short, long = rng.standard_normal((2, 16)).astype(np.float32), rng.standard_normal((5, 16)).astype(np.float32)
    text, bias = pad_text([short, long])
    alone, _ = pad_text([short])
    with torch.no_grad():
        together = refiner(text, bias)
        assert (together[0, :2] - refiner(alone)[0]).abs().max() < 1e-5
        swapped = refiner(alone.flip(1))
    assert together.shape == (2, 5, 32)
    assert (swapped.flip(1)[0] - together[0, :2]).abs().max() > 1e-3


def test_a_refiner_without_layers_is_the_identity():
    text = torch.randn(2, 3, 16)
    refiner = Refiner(16, 99, 0)
    assert refiner(text) is text
    assert refiner.dim == 16
    assert not list(refiner.parameters())


@pytest.mark.parametrize("size", [(1, 1, 1), (3, 2, 4)])
def test_coordinates_tell_every_place_from_every_other(size):
    grid = coordinates(*size)
    assert grid.shape == (CHANNELS, *size)
    places = {tuple(column.tolist()) for column in grid.flatten(1).T}
    assert len(places) == size[0] * size[1] * size[2]
    latent = torch.randn(2, 5, *size)
    assert torch.equal(with_coordinates(latent)[:, :5], latent)


def test_heads_start_by_preferring_one_neighbour_each():
    torch.manual_seed(0)
    attention = Attention(96, 4, 1e-6)
    torch.nn.init.zeros_(attention.to_q.bias)
    torch.nn.init.zeros_(attention.to_k.bias)
    look_at_neighbours(attention)
    grid = (3, 3, 3)
    x = torch.randn(256, 27, 96)
    with torch.no_grad():
        query, key = (
            norm(layer(x)).unflatten(2, (4, -1)).transpose(1, 2)
            for norm, layer in ((attention.norm_q, attention.to_q), (attention.norm_k, attention.to_k))
        )
        turned = rotations(grid, 24, x.device)
        scores = (rotate(query, turned) @ rotate(key, turned).transpose(-1, -2) / 24**0.5).mean(dim=0)
    centre = scores[:, 13]
    best = centre.argmax(dim=1)
    assert len(set(best.tolist())) == 4
    second = centre.sort(dim=1).values[:, -2]
    assert (centre.max(dim=1).values - second > 0.3).all()


def test_rotations_depend_on_the_distance_alone():
    torch.manual_seed(0)
    turned = rotations((4, 5, 6), 24, torch.device("cpu"))
    query, key = torch.randn(24), torch.randn(24)
    everywhere = torch.ones(1, 1, 120, 1)
    scores = (rotate(query * everywhere, turned) @ rotate(key * everywhere, turned).transpose(-1, -2))[0, 0]
    cube = scores.view(4, 5, 6, 4, 5, 6)
    assert float((cube[0, 1, 2, 1, 3, 3] - cube[2, 2, 1, 3, 4, 2]).abs()) < 1e-4
    assert float((cube[0, 1, 2, 1, 3, 3] - cube[0, 1, 2, 1, 3, 4]).abs()) > 1e-3


@pytest.mark.parametrize("whiten", [0.0, 0.5, 1.0])
def test_normalised_latents_have_mean_0_and_rms_1(whiten):
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((4, 50, 20, 20)) * np.array([10.0, 3.0, 0.1, 0.0])[:, None, None, None] + 2
    stats = {"mean": latent.mean(axis=(1, 2, 3)).tolist(), "std": latent.std(axis=(1, 2, 3)).tolist()}
    normaliser = Normaliser.from_card({"latent_stats": stats}, whiten)
    normal = normaliser.forward(latent)
    assert np.abs(normal.mean(axis=(1, 2, 3))).max() < 1e-4
    assert np.sqrt((normal**2).mean()) == pytest.approx(1.0, rel=0.2)
    spread = normal.std(axis=(1, 2, 3))
    assert spread[0] / spread[1] == pytest.approx((10 / 3) ** (1 - whiten), rel=0.02)
    assert np.abs(normaliser.inverse(normal) - latent).max() < 1e-4
    run = {"latent_mean": normaliser.mean_C.tolist(), "latent_scale": normaliser.scale_C.tolist()}
    assert np.array_equal(Normaliser.from_run(run).scale_C, normaliser.scale_C)


def test_a_dataset_without_clips_cannot_be_normalised():
    with pytest.raises(SpecError, match="holds no clips"):
        Normaliser.from_card({"latent_stats": None}, TrainConfig().whiten)


@pytest.mark.parametrize(("bf16_seconds", "wanted"), [(0.5, "bf16"), (0.8, "bf16"), (0.9, "fp32"), (4.0, "fp32")])
def test_bf16_is_taken_only_where_it_pays(bf16_seconds, wanted):
    assert precision_for(1.0, bf16_seconds) == wanted
