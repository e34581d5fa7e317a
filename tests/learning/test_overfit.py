"""The whole path learns: one clip, and only it, comes out of noise."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from tests.codecs.footage import footage
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer.config import ModelConfig, SampleConfig, SampleRequest, TrainConfig
from trainer.inputs import opencv_frames
from trainer.sample import sample
from trainer.train import train


@pytest.mark.parametrize("objective", ["velocity", "x0"])
def test_one_clip_is_learnt_and_sampled(objective, tmp_path):
    data = tiny_dataset(tmp_path / "d", ((9, 32),)).path
    settings = TrainConfig.model_validate({
        "model": ModelConfig(layers=2, heads=4, head_dim=24, ffn_dim=192, refiner_dim=32).model_dump(),
        "steps": 300, "batch": 8, "warmup": 10, "decay": 0.5, "lr": 0.003, "ema": 0.98, "threads": 1,
        "precision": "fp32", "captions": {"short": 1.0}, "allow_unscreened": ALLOW, "objective": objective,
        "tasks": {"t2v": 0.7, "i2v": 0.3}, "checkpoint_every": 300,
    })  # fmt: skip
    out = train(data, tmp_path / "r", settings).out_dir
    losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert np.mean(losses[-30:]) < 0.1 * np.mean(losses[:3])
    from curate.codecs import latent_codec

    clip = footage(1000, 1, frames=9, side=32)[0]
    codec = latent_codec("dct", channels=8)
    pixels = clip.astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1
    ceiling = (codec.decode(codec.encode(pixels))[0].transpose(1, 2, 3, 0) + 1) * 127.5
    first = tmp_path / "first.png"
    cv2.imwrite(str(first), clip[0, :, :, ::-1])
    requests = [SampleRequest(prompt="a"), SampleRequest(prompt="a", task="i2v", image=str(first))]
    sample(out, requests, tmp_path / "s", SampleConfig(steps=16, guidance=1.0, crf=1, threads=1))
    for name in ("000.mp4", "001.mp4"):
        made = opencv_frames(tmp_path / "s" / name, 8.0, 9).astype(np.float64)
        psnr = -10 * np.log10(np.mean(((made - np.clip(ceiling, 0, 255)) / 255) ** 2))
        assert psnr > 24
