"""Muon's orthogonal steps, and optimizer states that come back under their own names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainer.config import TrainConfig
from trainer.muon import Muon, orthogonalised
from trainer.optimizers import make_optimizers, optimizer_tensors, restore_optimizers


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 16, 40), (2, 40, 16)])
def test_singular_values_come_near_one_and_vectors_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    made = orthogonalised(matrices)
    assert made.shape == shape
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.3
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    in_old_axes = left.transpose(1, 2) @ made @ right.transpose(1, 2)
    off_axis = in_old_axes - torch.diag_embed(torch.diagonal(in_old_axes, dim1=1, dim2=2))
    assert off_axis.abs().max() < 1e-3


def test_muon_takes_all_directions_equally_far():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.zeros(8, 8))
    target = torch.linalg.qr(torch.randn(8, 8))[0] @ torch.diag(torch.logspace(-3, 0, 8)) @ torch.randn(8, 8)
    optimizer = Muon([weight], lr=0.1)
    (0.5 * (weight - target).square().sum()).backward()
    optimizer.step()
    values = torch.linalg.svdvals(weight.detach())
    assert values.max() / values.min() < 5
    assert torch.linalg.svdvals(target)[0] / torch.linalg.svdvals(target)[-1] > 100


@pytest.mark.parametrize("shape", [(24, 24), (16, 40), (40, 16)])
def test_muon_is_torchs_own_in_its_precision(shape):
    torch.manual_seed(0)
    start, gradients = torch.randn(shape), torch.randn(5, *shape)

    def walked(made: torch.optim.Optimizer, weight: nn.Parameter) -> torch.Tensor:
        for gradient in gradients:
            weight.grad = gradient.clone()
            made.step()
        return weight.detach() - start

    ours, exact, theirs = (nn.Parameter(start.clone()) for _ in range(3))
    reference = walked(
        torch.optim.Muon([theirs], lr=0.02, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"), theirs
    )
    rounded = walked(Muon([ours], lr=0.02, weight_decay=0.1, dtype=torch.bfloat16), ours)
    assert (rounded - reference).norm() < 1e-3 * reference.norm()
    # In float32 the same walk, as far as bfloat16 can follow it.
    full = walked(Muon([exact], lr=0.02, weight_decay=0.1), exact)
    assert (full - reference).norm() < 0.03 * reference.norm()


@pytest.mark.parametrize("kind", ["muon", "adamw"])
def test_states_come_back_bitwise(kind):
    def run(steps: int, split: int | None) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 6))
        config = TrainConfig(optimizer=kind)
        named = dict(model.named_parameters())
        optimizers = make_optimizers(named, config)
        assert set(optimizers) == ({"adamw", "muon"} if kind == "muon" else {"adamw"})
        assert sorted(name for made in optimizers.values() for name in made.names) == sorted(named)
        data = torch.randn(steps, 5, 6)
        for step in range(steps):
            if step == split:
                saved = {key: value.clone() for key, value in optimizer_tensors(optimizers).items()}
                optimizers = make_optimizers(named, config)
                restore_optimizers(optimizers, saved)
            for made in optimizers.values():
                made.set_rate(0.01)
            model(data[step]).square().sum().backward()
            for made in optimizers.values():
                made.step()
        return [param.detach() for param in model.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(run(6, None), run(6, 3), strict=True))


def test_scales_are_not_decayed():
    named = {
        "blocks.0.attn1.to_q.weight": nn.Parameter(torch.ones(4, 4)),
        "blocks.0.attn1.to_q.bias": nn.Parameter(torch.ones(4)),
        "blocks.0.scale_shift_table": nn.Parameter(torch.ones(1, 6, 4)),
        "proj_out.weight": nn.Parameter(torch.ones(4, 4)),
    }  # fmt: skip
    optimizers = make_optimizers(named, TrainConfig(weight_decay=0.5, optimizer="muon"))
    for made in optimizers.values():
        made.set_rate(0.1)
        for param in named.values():
            param.grad = torch.zeros_like(param)
        made.step()
    assert float(named["blocks.0.attn1.to_q.bias"].detach().min()) == 1
    assert float(named["blocks.0.scale_shift_table"].detach().min()) == 1
    assert float(named["proj_out.weight"].detach().mean()) == pytest.approx(0.95)
