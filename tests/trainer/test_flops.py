"""Counted operations are those that torch counts while the model runs."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from curate.dataset.reader import Dataset
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer.config import TrainConfig
from trainer.data import TrainingData
from trainer.dit import DitConfig, WanDit
from trainer.flops import measured_peak, step_flops
from trainer.loop import Trainer
from trainer.model import Model
from trainer.refiner import Refiner

# (layers, heads, head_dim, ffn), (clips, frames, height, width, words, times), refiner layers, text_pad_to
SHAPES = [
    ((2, 2, 12, 32), (3, 3, 4, 6, 5, 3), 1, 0),
    ((1, 4, 32, 512), (1, 1, 16, 16, 9, 1), 2, 0),
    ((3, 2, 24, 96), (2, 5, 8, 4, 1, 1), 0, 0),
    ((2, 2, 12, 32), (2, 2, 8, 8, 7, 32), 0, 12),
]


@pytest.mark.parametrize(("dims", "batch", "layers", "text_pad_to"), SHAPES)
def test_counted_operations_are_torchs(dims, batch, layers, text_pad_to):
    count, frames, height, width, words, times = batch
    depth, heads, head_dim, ffn = dims
    refiner = Refiner(16, 32, layers)
    model = Model(WanDit(DitConfig(
        num_layers=depth, num_attention_heads=heads, attention_head_dim=head_dim, ffn_dim=ffn, in_channels=8,
        out_channels=8, text_dim=refiner.dim, text_pad_to=text_pad_to,
    )), refiner)  # fmt: skip
    latent, text = torch.randn(count, 8, frames, height, width), torch.randn(count, words, 16)
    with FlopCounterMode(display=False) as counter:
        model(latent, torch.rand(count, times) * 1000, text, torch.zeros(count, words)).square().mean().backward()
    counted = step_flops(model, count, (frames, height // 2, width // 2), words, times)
    assert counted == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_a_step_of_mixed_shapes_and_an_inpainted_clip_is_counted(tmp_path):
    dataset = tiny_dataset(tmp_path / "d", ((9, 32), (5, 16), (9, 32), (1, 32))).path
    config = TrainConfig.model_validate({
        "model": {"layers": 2, "heads": 2, "head_dim": 24, "ffn_dim": 96, "refiner_dim": 16}, "batch": 8, "warmup": 0,
        "threads": 1, "precision": "fp32", "optimizer": "adamw", "captions": {"short": 1.0},
        "allow_unscreened": ALLOW, "tasks": {"t2v": 0.5, "inpaint": 0.5},
    })  # fmt: skip
    data = TrainingData(Dataset(dataset), config)
    assert {group.known_BT.ndim for step in range(4) for group in data.step(step)} == {2, 4}
    trainer = Trainer(data, config, "fp32")
    for step in range(2):
        with FlopCounterMode(display=False) as counter:
            record = trainer.step(step)
        assert record["flops"] == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_the_peak_is_given_or_that_of_a_matmul(tmp_path):
    dataset = tiny_dataset(tmp_path / "d", ((5, 16),)).path
    settings = {"captions": {"short": 1.0}, "model": {"layers": 1, "heads": 1, "head_dim": 12, "ffn_dim": 32}}
    config = TrainConfig.model_validate(settings)
    trainer = Trainer(TrainingData(Dataset(dataset), config), config, "fp32")
    assert trainer.peak_flops() > 1e6
    trainer.config = config.model_copy(update={"peak_tflops": 2.5})
    assert trainer.peak_flops() == 2.5e12
    assert measured_peak(256, 64, 64, "bf16") > 1e6
