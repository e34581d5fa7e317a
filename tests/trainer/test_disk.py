"""Disks that fill or fail and runs that are killed while they write: nothing good is lost, and the sentence is true."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from curate.errors import SpecError, StorageError
from tests.dataset.tiny import ALLOW, tiny_dataset
from trainer import exported
from trainer.config import ModelConfig, SampleConfig, TrainConfig
from trainer.durable import storing
from trainer.exported import MODEL_FILE, export_model, is_exported, load_model, verify_export
from trainer.sample import main as sample_main
from trainer.sample import sample
from trainer.train import main as train_main
from trainer.train import train

TINY = ModelConfig(layers=1, heads=2, head_dim=12, ffn_dim=32, refiner_dim=16)
SETTINGS = {
    "model": TINY.model_dump(), "steps": 4, "batch": 2, "warmup": 0, "checkpoint_every": 2, "threads": 1,
    "precision": "fp32", "allow_unscreened": ALLOW, "captions": {"short": 1.0},
}  # fmt: skip
CONFIG = TrainConfig.model_validate(SETTINGS)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", ((5, 16),) * 3).path


@pytest.fixture
def run_dir(dataset, tmp_path) -> Path:
    return train(dataset, tmp_path / "r", CONFIG).out_dir


def run_key(run_dir: Path) -> str:
    return json.loads((run_dir / "run.json").read_bytes())["run_key"]


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def test_an_export_that_is_there_is_not_written_again(dataset, run_dir):
    before = (run_dir / "model" / MODEL_FILE).stat().st_mtime_ns
    assert is_exported(run_dir, run_key(run_dir), 4)
    assert not is_exported(run_dir, run_key(run_dir), 3)
    train(dataset, run_dir, CONFIG)
    assert (run_dir / "model" / MODEL_FILE).stat().st_mtime_ns == before
    damage(run_dir / "model" / MODEL_FILE)
    with pytest.raises(SpecError, match=r"weights in .* are not those that its export.json names"):
        sample(run_dir, ["a"], run_dir / "s", SampleConfig(steps=1, threads=1))
    train(dataset, run_dir, CONFIG)
    verify_export(run_dir, run_key(run_dir))


class Killed(BaseException):
    pass


def test_wherever_an_export_is_killed_no_model_stands_without_its_refiner(dataset, run_dir, monkeypatch):
    before = load_model(run_dir).state_dict()
    real, model = Path.rename, load_model(run_dir)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(1.0)
    whole = run_dir.parent / "whole"
    shutil.copytree(run_dir, whole)
    seen = 0
    for kill_at in range(1, 5):
        shutil.rmtree(run_dir)
        shutil.copytree(whole, run_dir)
        calls = 0

        def rename(self: Path, target: Path) -> Path:
            nonlocal calls
            calls += self.name in ("model", "refiner")
            if calls == kill_at:  # noqa: B023
                raise Killed
            return real(self, target)

        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(Killed):
            export_model(run_dir, model, "another", 9)
        monkeypatch.setattr(Path, "rename", real)
        if (run_dir / "model").exists():
            state, seen = load_model(run_dir).state_dict(), seen + 1
            assert all(torch.equal(value, before[name]) for name, value in state.items())
        with pytest.raises(SpecError, match="train it to the end first"):
            sample(run_dir, ["a"], run_dir / "s", SampleConfig(steps=1, threads=1))
        train(dataset, run_dir, CONFIG)
        assert all(torch.equal(value, before[name]) for name, value in load_model(run_dir).state_dict().items())
        assert not list(run_dir.glob(".export*"))
    assert seen == 1


def test_a_model_of_another_run_is_not_sampled_from(run_dir, tmp_path):
    card = json.loads((run_dir / "run.json").read_bytes())
    (run_dir / "run.json").write_text(json.dumps({**card, "run_key": "other"}))
    with pytest.raises(SpecError, match=r"of another run than its run.json: train it to the end first"):
        sample(run_dir, ["a"], tmp_path / "s", SampleConfig(steps=1, threads=1))


def test_a_damaged_log_line_is_skipped_only_at_the_end(dataset, run_dir):
    log = run_dir / "log.jsonl"
    whole = log.read_text()
    log.write_text(whole + '{"step": 5, "lo')
    train(dataset, run_dir, CONFIG)
    assert log.read_text() == whole
    lines = whole.splitlines()
    log.write_text("\n".join([lines[0], '{"step": 2, "lo', *lines[2:]]))
    with pytest.raises(StorageError, match=r"log.jsonl:2 is damaged"):
        train(dataset, run_dir, CONFIG)


@pytest.mark.parametrize("blocked", ["checkpoints", "log.jsonl"])
def test_what_cannot_be_written_is_named(dataset, tmp_path, blocked, capsys):
    out = tmp_path / "r"
    out.mkdir()
    if blocked == "log.jsonl":
        (out / blocked).mkdir()
    else:
        (out / blocked).touch()
    config = tmp_path / "c.json"
    config.write_text(json.dumps(SETTINGS))
    assert train_main(["--dataset", str(dataset), "--out", str(out), "--config", str(config)]) == 74
    said = capsys.readouterr().err
    assert "error: cannot write" in said
    assert blocked in said
    assert str(config) not in said


def small_files() -> None:
    """Let no file grow beyond 4 KiB: what a full disk does to safetensors, and to nothing smaller."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def test_a_full_disk_ends_training_with_74_and_its_sentence(dataset, tmp_path):
    config = tmp_path / "c.json"
    config.write_text(json.dumps(SETTINGS))
    out = tmp_path / "r"
    call = [
        sys.executable,
        "-m",
        "trainer.train",
        "--dataset",
        str(dataset),
        "--out",
        str(out),
        "--config",
        str(config),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(call, capture_output=True, text=True, env=environment, preexec_fn=small_files, check=False)
    assert ended.returncode == 74, ended.stderr
    assert "cannot write" in ended.stderr.splitlines()[-1]
    assert "step-00000002" in ended.stderr
    assert not list((out / "checkpoints").glob("step-*"))


@pytest.mark.parametrize("task", ["t2v", "image"])
def test_a_sample_that_cannot_be_written_is_the_disks_fault(run_dir, tmp_path, task, capsys):
    prompts, out = tmp_path / "p.jsonl", tmp_path / "s"
    prompts.write_text(json.dumps({"prompt": "a", "task": task}) + "\n")
    call = ["--run", str(run_dir), "--prompts", str(prompts), "--out", str(out)]
    assert sample_main(call) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, limits[1]))  # no file may grow beyond this: as good as a full disk
    try:
        assert sample_main(call) == 74
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "error: cannot write" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.parametrize("text", [None, "not json", '{"stepz": 1}', "[]"])
def test_a_config_that_cannot_be_read_is_the_callers_fault(dataset, run_dir, tmp_path, text, capsys):
    config, prompts = tmp_path / "c.json", tmp_path / "p.jsonl"
    prompts.write_text('{"prompt": "a"}\n')
    if text is not None:
        config.write_text(text)
    last = ["--out", str(tmp_path / "o"), "--config", str(config)]
    assert train_main(["--dataset", str(dataset), *last]) == 2
    assert "c.json" in capsys.readouterr().err
    assert sample_main(["--run", str(run_dir), "--prompts", str(prompts), *last]) == 2
    assert "c.json" in capsys.readouterr().err


def test_a_disk_that_refuses_an_export_is_named(run_dir, monkeypatch):
    model = load_model(run_dir)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exported, "save_file", full)
    with pytest.raises(StorageError, match=r"cannot write .*model: .*No space left"):
        export_model(run_dir, model, "k", 1)
    verify_export(run_dir, run_key(run_dir))
    with pytest.raises(StorageError), storing(run_dir):
        full()
