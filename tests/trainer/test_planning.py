"""A forecast is held to a run: its checkpoints, its log and what torch allocates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from curate.dataset.reader import Dataset
from curate.errors import SpecError
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer.checkpoint import Checkpoints
from trainer.config import TrainConfig
from trainer.data import TrainingData
from trainer.loop import Trainer
from trainer.optimizers import optimizer_tensors
from trainer.planning import GPUS, Hardware, Material, forecast
from trainer.ranks import Ranks

MIXED = ((9, 32), (9, 32), (5, 16), (1, 32), (9, 16), (5, 16), (1, 16), (9, 32))
SETTINGS = {
    "model": {"layers": 2, "heads": 2, "head_dim": 12, "ffn_dim": 32, "refiner_dim": 16}, "steps": 12, "batch": 5,
    "warmup": 2, "checkpoint_every": 3, "threads": 1, "precision": "fp32", "allow_unscreened": ALLOW,
    "captions": {"short": 0.7, "original": 0.3},
}  # fmt: skip
ONE = Hardware.of(1, None, 1.0, 0.5)


def config(**changes) -> TrainConfig:
    return TrainConfig.model_validate({**SETTINGS, **changes})


def by_tokens(most: int, packs: int, **changes) -> TrainConfig:
    rest = {key: value for key, value in SETTINGS.items() if key != "batch"}
    return TrainConfig.model_validate({**rest, "tokens_per_pack": most, "packs_per_step": packs, **changes})


def material(path: Path) -> Material:
    data = Dataset(path)
    return Material(
        "here", np.array(data.columns["shape"]), data.columns, 0, data.longest_text, data.text_shapes[0][1], True
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_checkpoints_and_steady_memory_are_exact(dataset, tmp_path, optimizer):
    settings = config(steps=4, checkpoint_every=1, keep=2, optimizer=optimizer)
    seen = forecast(settings, material(dataset), ONE)
    trainer = Trainer(TrainingData(Dataset(dataset), settings), settings, "fp32")
    assert seen["parameters"] == sum(param.numel() for param in trainer.params)
    trainer.step(0)
    states = sum(tensor.nbytes for tensor in optimizer_tensors(trainer.optimizers).values())
    memory = seen["stages"][0]["memory"]
    assert memory["optimizer"] == states
    assert memory["weights"] == memory["ema"] == memory["gradients"] == sum(param.nbytes for param in trainer.params)
    with Checkpoints(tmp_path, "a run", Ranks(), keep=2) as checkpoints:
        for trainer.done in (1, 2, 3):
            trainer.save(checkpoints)
    files = [path.stat().st_size for path in (tmp_path / "checkpoints").rglob("*.safetensors")]
    held = seen["disk"]["checkpoint"] * seen["disk"]["checkpoints_kept"]
    headers = 350 * 4 * len(trainer.params) * 2  # a name twice, a shape and places of each tensor
    assert held < sum(files) < held + headers
    assert seen["disk"]["checkpoints"] == 3 * seen["disk"]["checkpoint"]


@pytest.mark.parametrize("settings", [config(steps=16), by_tokens(64, 2, steps=20)], ids=["batch", "packs"])
def test_tokens_and_operations_are_those_of_the_log(dataset, settings):
    seen = forecast(settings, material(dataset), ONE)
    trainer = Trainer(TrainingData(Dataset(dataset), settings), settings, "fp32")
    log = [trainer.step(step) for step in range(settings.steps)]
    # The run ends within an epoch: its last one may have begun with large or small clips.
    assert seen["tokens"]["of_run"] == pytest.approx(sum(record["tokens"] for record in log), rel=0.08)
    # Texts are counted as long as the longest.
    assert sum(record["flops"] for record in log) == pytest.approx(seen["flops"], rel=0.15)
    assert seen["hours"] == {"given": pytest.approx(seen["flops"] / 0.5e12 / 3600)}


def test_whole_epochs_are_counted_exactly(dataset):
    seen = forecast(config(steps=16, batch=4), material(dataset), ONE)
    data = material(dataset)
    tokens = data.shapes_N4[:, 1:].prod(axis=1) // 4
    assert seen["tokens"]["of_run"] == 16 * 4 // 8 * tokens.sum()
    assert seen["stages"][0]["epochs"] == 8
    assert seen["tokens"]["of_clips"]["p100"] == tokens.max()
    assert seen["disk"]["latents"] == 2 * data.shapes_N4.prod(axis=1).sum()


def test_stages_have_what_they_draw(dataset):
    stages = [{"steps": 4, "tiers": [16]}, {"steps": 8}]
    seen = forecast(config(stages=stages, batch=4), material(dataset), ONE)
    small, large = seen["stages"]
    assert (small["clips"], large["clips"]) == (4, 8)
    assert (small["epochs"], large["epochs"]) == (4, 4)
    assert small["memory"]["activations"] < large["memory"]["activations"]
    assert small["memory"]["optimizer"] == large["memory"]["optimizer"]
    assert seen["tokens"]["of_run"] == small["tokens"] + large["tokens"]
    with pytest.raises(SpecError, match="tiers"):
        forecast(config(stages=[{"steps": 12, "tiers": [64]}]), material(dataset), ONE)


def test_what_will_hurt_is_said(dataset):
    def said(settings: TrainConfig, hardware: Hardware = ONE) -> str:
        return "; ".join(forecast(settings, material(dataset), hardware)["warnings"])

    assert said(config(steps=16, batch=4)) == ""
    assert "8 ranks" in said(by_tokens(64, 3), Hardware.of(8, None, 1.0, 0.5))
    assert "3 of 8 clips are larger than tokens_per_pack 8" in said(by_tokens(8, 1))
    assert "7 of 8 clips are larger" in said(by_tokens(1, 1))
    two = replace(material(dataset), shapes_N4=np.array([[8, 3, 4, 4], [8, 3, 4, 4]]), columns={})
    assert "no clip is left" in "; ".join(forecast(by_tokens(1, 1), two, ONE)["warnings"])
    assert "a step draws 64 clips, and there are 8" in said(config(batch=64))
    assert "0.25 epochs" in said(config(steps=1, batch=2))
    wide = config(model="dit-14b", batch=4, steps=16)
    assert "rtx-4090: the peak of" in said(wide, Hardware.of(1, "rtx-4090", None, 0.35))


def test_hours_are_by_rate(dataset):
    seen = forecast(config(), material(dataset), Hardware.of(4, None, None, 0.25))
    assert set(seen["hours"]) == set(GPUS)
    assert seen["hours"]["a100"] / seen["hours"]["h100-sxm"] == pytest.approx(989 / 312)


def allocated_peak(trainer: Trainer, step: int) -> int:
    """Bytes that torch's allocator held at most, above what it held when the step began."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        trainer.step(step)
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return int(np.cumsum([event.nbytes() for event in events]).max())


@pytest.mark.parametrize(
    ("precision", "again"), [("fp32", "none"), ("bf16", "none"), ("fp32", "full"), ("bf16", "full")]
)
def test_activations_are_within_a_factor_of_what_torch_allocates(tmp_path, precision, again):
    path = tiny_dataset(tmp_path / "d", ((17, 64),) * 4).path
    settings = config(
        model={"layers": 4, "heads": 4, "head_dim": 24, "ffn_dim": 384, "refiner_dim": 16, "refiner_layers": 1},
        precision=precision, batch=4, optimizer="adamw", tasks={"t2v": 1.0}, activation_checkpointing=again,
    )  # fmt: skip
    trainer = Trainer(TrainingData(Dataset(path), settings), settings, precision)
    trainer.step(0)
    groups = trainer.data.step(1)
    assert len(groups) == 1
    memory = forecast(settings, material(path), ONE)["stages"][0]["memory"]
    measured = allocated_peak(trainer, 1)
    foreseen = memory["activations"] + memory["casts"]
    assert measured / 1.5 < foreseen < measured * 1.5
    assert memory["activations"] > (4 if again == "none" else 1) * memory["weights"]  # it is they that are tested
