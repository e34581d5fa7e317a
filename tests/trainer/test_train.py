"""A run: it goes on exactly where it was killed, says why it refuses, and leaves what sampling needs."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from curate.dataset.reader import Dataset
from curate.errors import RushesError, SpecError, StorageError, UnscreenedData
from tests.dataset.tiny import ALLOW, clip_rows, header, text_rows, tiny_dataset
from trainer.config import ModelConfig, TrainConfig
from trainer.data import TrainingData
from trainer.exported import load_model
from trainer.loop import Trainer, learning_rate
from trainer.train import _commonest_size, train

MIXED = ((9, 32), (9, 32), (5, 16), (1, 32), (9, 16), (5, 16), (1, 16), (9, 32))
TINY = ModelConfig(layers=2, heads=2, head_dim=12, ffn_dim=32, refiner_dim=16)
SETTINGS = {
    "model": TINY.model_dump(), "steps": 12, "batch": 5, "warmup": 2, "checkpoint_every": 3, "threads": 1,
    "precision": "fp32", "allow_unscreened": ALLOW, "captions": {"short": 0.7, "original": 0.3},
}  # fmt: skip


def config(**changes) -> TrainConfig:
    return TrainConfig.model_validate({**SETTINGS, **changes})


def losses(out: Path) -> list[tuple[int, float, float]]:
    records = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    return [(r["step"], r["loss"], r["grad_norm"]) for r in records]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


@pytest.fixture(scope="module")
def unbroken(dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run") / "r"
    result = train(dataset, out, config())
    assert (result.steps, result.stopped_by) == (12, None)
    return out


def test_any_mix_of_shapes_trains_and_the_log_says_how(unbroken):
    records = [json.loads(line) for line in (unbroken / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == list(range(1, 13))
    counted = {"tokens", "captions", "fell_back", "waste", "imbalance", "seconds", "core_seconds", "data_wait_s"}
    counted |= {"flops", "tokens_per_second", "mfu", "memory_mib", "drawn"}
    assert set(records[0]) == {"step", "loss", "lr", "grad_norm", *counted}
    assert all(np.isfinite(r["loss"]) for r in records)


def test_the_log_counts_what_was_drawn(unbroken):
    for line in (unbroken / "log.jsonl").read_text().splitlines():
        record = json.loads(line)
        assert sum(record["captions"].values()) == config().batch
        assert set(record["captions"]) <= {"short", "original", "empty"}
        assert record["fell_back"] == 0


def test_the_first_loss_is_that_of_predicting_zero(dataset):
    # proj_out starts at zero, so the loss is the mean of (noise - x0)^2: 1 + the mean square of normalised latents, 1.
    settings = config(batch=256, tasks={"t2v": 1})
    data = TrainingData(Dataset(dataset), settings)
    targets = torch.cat([(group.noise_BCTHW - group.clean_BCTHW).flatten() for group in data.step(0)])
    loss = Trainer(data, settings, "fp32").step(0)["loss"]
    assert loss == pytest.approx(float(targets.square().mean()), rel=1e-5)
    assert loss == pytest.approx(2.0, rel=0.02)


def test_what_a_run_leaves_is_the_averaged_model_in_diffusers_layout(unbroken, dataset):
    run = json.loads((unbroken / "run.json").read_bytes())
    assert run["codec"]["name"] == "dct"
    assert run["receipt_digest"] == json.loads((dataset / "receipt.json").read_bytes())["digest"]
    assert run["unscreened"] == ALLOW
    assert run["default_size"] == {"width": 32, "height": 32, "num_frames": 9, "fps": 8.0}
    saved = load_file(unbroken / "checkpoints" / "step-00000012" / "shard-00000.safetensors")
    model = load_model(unbroken)
    assert all(torch.equal(value, saved[f"ema.{name}"]) for name, value in model.state_dict().items())
    assert sorted(p.name for p in (unbroken / "checkpoints").iterdir()) == ["step-00000009", "step-00000012"]


def command(dataset: Path, out: Path, settings: dict) -> list[str]:
    out.mkdir(parents=True, exist_ok=True)
    path = out / "config.json"
    path.write_text(json.dumps(settings))
    return [sys.executable, "-m", "trainer.train", "--dataset", str(dataset), "--out", str(out), "--config", str(path)]


def wait_for_step(out: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if (out / "log.jsonl").is_file() and len((out / "log.jsonl").read_text().splitlines()) >= step:
            return
        time.sleep(0.002)
    raise AssertionError(f"the run ended ({process.poll()}) or hung before step {step}")


def start(dataset: Path, out: Path, settings: dict) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command(dataset, out, settings), stdout=subprocess.PIPE, env=environment)


def test_a_killed_run_goes_on_bitwise(dataset, tmp_path):
    settings = {**SETTINGS, "steps": 40, "checkpoint_every": 9}
    whole = train(dataset, tmp_path / "whole", TrainConfig.model_validate(settings)).out_dir
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    out = tmp_path / "killed"
    for kill_at in sorted(random.Random(seed).sample(range(3, 36), 1)):
        process = start(dataset, out, settings)
        wait_for_step(out, kill_at, process)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        process.communicate()
    again = start(dataset, out, settings)
    again.communicate()
    assert again.returncode == 0
    assert losses(out) == losses(whole)
    for name in ("model/diffusion_pytorch_model.safetensors", "refiner/model.safetensors"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_checkpoints_and_exits(dataset, tmp_path, number, code):
    settings = {**SETTINGS, "steps": 100_000, "checkpoint_every": 100_000}
    process = start(dataset, tmp_path / "r", settings)
    wait_for_step(tmp_path / "r", 5, process)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == code
    steps = len(losses(tmp_path / "r"))
    assert [p.name for p in (tmp_path / "r" / "checkpoints").iterdir()] == [f"step-{steps:08d}"]


def test_another_config_or_dataset_is_refused_and_scheduling_is_not(dataset, unbroken, tmp_path):
    with pytest.raises(SpecError, match="another config or dataset"):
        train(dataset, unbroken, config(lr=0.5))
    other = tiny_dataset(tmp_path / "other", MIXED[:-1]).path
    with pytest.raises(SpecError, match="another config or dataset"):
        train(other, unbroken, config())
    before = losses(unbroken)
    assert train(dataset, unbroken, config(checkpoint_every=4, keep=1)).steps == 12
    assert losses(unbroken) == before


def test_a_damaged_checkpoint_is_passed_over(dataset, unbroken, tmp_path):
    out = tmp_path / "r"
    train(dataset, out, config())
    for name, count in (("step-00000012", 1), ("step-00000009", 2)):
        weights = out / "checkpoints" / name / "shard-00000.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
        if count == 1:
            assert train(dataset, out, config()).steps == 12
            assert losses(out) == losses(unbroken)
            weights.write_bytes(weights.read_bytes()[:-1] + b"\0\0")
    with pytest.raises(StorageError, match="damaged"):
        train(dataset, out, config())


def test_unscreened_data_are_refused(dataset, tmp_path):
    with pytest.raises(UnscreenedData, match="not screened for violence"):
        train(dataset, tmp_path / "r", config(allow_unscreened=["explicit", "hate"]))


def test_a_loss_that_is_not_finite_names_its_clips(dataset, tmp_path):
    out = tmp_path / "r"
    train(dataset, out, config(steps=3))
    data = TrainingData(Dataset(dataset), config())
    trainer = Trainer(data, config(), "fp32")
    with torch.no_grad():
        trainer.params[0].fill_(float("nan"))
    with pytest.raises(RushesError, match="step 4: loss nan") as error:
        trainer.step(3)
    clips = [clip_id for group in data.step(3) for clip_id in group.clip_ids]
    assert all(clip_id in str(error.value) for clip_id in clips)


def test_data_that_do_not_fit_are_refused_with_a_sentence(dataset, tmp_path):
    with pytest.raises(SpecError, match=r"patches of \(1, 4, 4\) do not fill"):
        train(dataset, tmp_path / "a", config(model={**TINY.model_dump(), "patch": (1, 4, 4)}))
    with pytest.raises(SpecError, match="none left"):
        train(dataset, tmp_path / "b", config(eval_clips=8))
    with pytest.raises(SpecError, match=r"no dataset|no receipt"):
        train(tmp_path / "nowhere", tmp_path / "c", config())


def test_missing_texts_are_refused(tmp_path):
    from curate.dataset.shards import write_dataset
    from tests.dataset.tiny import UNSCREENED

    clips = clip_rows(MIXED[:2])
    lacking = write_dataset(tmp_path / "d", [clips], [text_rows(["a", "x a"])], header(), UNSCREENED).path
    with pytest.raises(SpecError, match=r"has a caption \(short\) without text features"):
        train(lacking, tmp_path / "r", config())
    no_empty = text_rows(["a", "b c"]).slice(1)
    lacking = write_dataset(tmp_path / "e", [clips], [no_empty], header(), UNSCREENED).path
    with pytest.raises(SpecError, match="lacks the features of the empty text"):
        train(lacking, tmp_path / "r", config())


def test_the_learning_rate_warms_up_and_falls_to_zero():
    settings = config(steps=100, warmup=10, decay=0.5, lr=1.0)
    rates = [learning_rate(settings, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[50] == 1.0
    assert rates[75] == pytest.approx(0.5)
    assert 0 < rates[99] < 0.03


def test_schedules_are_their_closed_forms():
    steps, warmup, decay = 60, 7, 0.25
    for name in ("wsd", "cosine", "constant"):
        settings = config(steps=steps, warmup=warmup, decay=decay, lr=0.5, schedule=name)
        for step in range(steps):
            x = (step - warmup) / (steps - warmup)
            after = {
                "wsd": min(1.0, (steps - step) / (decay * steps)),
                "cosine": np.cos(np.pi * x / 2) ** 2,
                "constant": 1.0,
            }[name]
            wanted = (step + 1) / warmup if step < warmup else after
            assert learning_rate(settings, step) == pytest.approx(0.5 * wanted, rel=1e-12), (name, step)
    assert config().schedule == "wsd"  # the numbers of a config that says nothing are what they were


@pytest.mark.parametrize("name", ["wsd", "cosine", "constant"])
@pytest.mark.parametrize(("steps", "warmup", "decay"), [(1, 0, 1.0), (5, 9, 0.0), (4, 4, 0.3)])
def test_no_step_of_a_short_run_stands_still(name, steps, warmup, decay):
    settings = config(steps=steps, warmup=warmup, decay=decay, lr=1.0, schedule=name)
    assert all(0 < learning_rate(settings, step) <= 1 for step in range(steps))


def test_validation_holds_its_clips_out_and_repeats_itself(dataset, tmp_path):
    settings = config(steps=4, eval_every=2, eval_clips=3)
    train(dataset, tmp_path / "r", settings)
    records = [json.loads(line) for line in (tmp_path / "r" / "eval.jsonl").read_text().splitlines()]
    assert [r["step"] for r in records] == [2, 4]
    assert all(len(r["curve"]) == 8 and r["channel_floor"] > 0 for r in records)
    data = TrainingData(Dataset(dataset), settings)
    assert len(data.rows) == 5
    assert not set(data.rows) & set(data.held_out)
    trained = {clip for step in range(20) for group in data.step(step) for clip in group.clip_ids}
    assert trained == {data.dataset.clip_ids[row] for row in data.rows}
    trainer = Trainer(data, settings, "fp32")
    assert trainer.evaluate() == trainer.evaluate()


def test_validation_holds_out_whole_sources(dataset):
    opened = Dataset(dataset)
    opened.columns["source_id"] = [f"source {place // 2}" for place in range(len(opened))]
    data = TrainingData(opened, config(eval_clips=3))
    source = opened.columns["source_id"]
    assert len(data.held_out) == 4
    assert not {source[row] for row in data.rows} & {source[row] for row in data.held_out}


def test_a_model_is_not_trained_without_any_text_and_clips_without_are_counted(dataset, tmp_path, capsys):
    with pytest.raises(SpecError, match=r"no clip has a caption \(dense\)"):
        train(dataset, tmp_path / "a", config(captions={"dense": 1.0}))
    from curate.dataset.shards import write_dataset
    from tests.dataset.tiny import UNSCREENED

    clips = clip_rows(MIXED[:3])
    place = clips.schema.get_field_index("caption_short_text_id")
    names = [None, *clips["caption_short_text_id"].to_pylist()[1:]]
    clips = clips.set_column(place, "caption_short_text_id", pa.array(names, pa.string()))
    some = write_dataset(tmp_path / "d", [clips], [text_rows(["a", "b c"])], header(), UNSCREENED).path
    train(some, tmp_path / "r", config(steps=1, captions={"short": 1.0}))
    assert "1 of 3 clips have no caption" in capsys.readouterr().err


def test_samples_are_videos_by_default_where_any_video_was_trained_on():
    columns = {"width": [16, 16, 16, 32], "height": [16, 16, 16, 48], "num_frames": [1, 1, 1, 9], "fps": [0, 0, 0, 8.0]}
    assert _commonest_size(columns) == {"width": 32, "height": 48, "num_frames": 9, "fps": 8.0}
    images = {name: values[:3] for name, values in columns.items()}
    assert _commonest_size(images) == {"width": 16, "height": 16, "num_frames": 1, "fps": 0}


def test_a_broken_safetensors_of_another_model_does_not_load(unbroken, tmp_path):
    tensors = load_file(unbroken / "model" / "diffusion_pytorch_model.safetensors")
    tensors.pop("proj_out.bias")
    for name in ("model", "refiner"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_bytes((unbroken / name / "config.json").read_bytes())
    save_file(tensors, tmp_path / "model" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(SpecError, match=r"no trained model .*run\.json"):
        load_model(tmp_path)
    (tmp_path / "run.json").write_bytes((unbroken / "run.json").read_bytes())
    with pytest.raises(RuntimeError, match=r"proj_out\.bias"):
        load_model(tmp_path)
