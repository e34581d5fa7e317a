"""What the trainer refuses of a dataset: each with its own sentence, exit code 2 and no run; and a valid set trains."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from tests.dataset.tiny import SCREENED, tiny_dataset
from trainer.train import main

POLICY = {"name": "default", "profile": "standard", "sha256": "ab" * 32}
CONFIG = {
    "model": {"layers": 1, "heads": 2, "head_dim": 12, "ffn_dim": 24, "refiner_layers": 0}, "steps": 1, "batch": 2,
    "warmup": 0, "precision": "fp32", "captions": {"short": 1.0}, "threads": 1, "require_policy": "default/standard",
}  # fmt: skip


def _shard(data, folder="clips"):
    return next((data / folder).iterdir())


def _edited_shard(data, receipt):
    shard = _shard(data)
    bytes_ = bytearray(shard.read_bytes())
    bytes_[len(bytes_) // 2] ^= 1
    shard.write_bytes(bytes_)


def _swapped(data, receipt):
    one, two = _shard(data), _shard(data, "texts")
    held = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(held)


def _edited_receipt(data, receipt):
    (data / "receipt.json").write_text((data / "receipt.json").read_text().replace("zero_shot", "anything"))


REFUSALS = {
    "no receipt": (lambda data, _: (data / "receipt.json").unlink(), {}, "has no receipt.json"),
    "a shard edited": (_edited_shard, {}, "was changed after the screening"),
    "a shard added": (lambda data, _: shutil.copy(_shard(data), data / "clips" / "x.parquet"), {}, "was added after"),
    "shards swapped": (_swapped, {}, "they were swapped"),
    "an edited receipt": (_edited_receipt, {}, "receipt.json was changed after the export"),
    "a stale list": (lambda data, _: (data.parent / "list.txt").write_text("more"), {}, "which has changed since"),
    "another policy": (None, {"require_policy": "default/strict"}, "wants default/strict"),
    "unscreened": ({"categories": {**SCREENED["categories"], "hate": "unscreened"}}, {}, "is not screened for hate"),
    "uncalibrated": ({"calibrated": {**SCREENED["calibrated"], "hate": False}}, {}, "that nobody has calibrated"),
}  # fmt: skip


def _train(tmp_path, capsys, change, config):
    known = tmp_path / "list.txt"
    known.write_text("a list")
    said = {"name": "l", "path": str(known), "sha256": hashlib.sha256(known.read_bytes()).hexdigest(),
            "updated": "2026-01-01", "max_age_days": 36500}  # fmt: skip
    receipt = {**SCREENED, "policy": POLICY, "lists": [said], **(change if isinstance(change, dict) else {})}
    data = tiny_dataset(tmp_path / "data", receipt=receipt).path
    if callable(change):
        change(data, receipt)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**CONFIG, **config}))
    code = main(["--dataset", str(data), "--out", str(tmp_path / "run"), "--config", str(path)])
    return code, capsys.readouterr().err


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_has_its_own_sentence(name, tmp_path, capsys):
    change, config, sentence = REFUSALS[name]
    code, said = _train(tmp_path, capsys, change, config)
    assert code == 2
    assert said.startswith("error: UnscreenedData: ")
    assert sentence in said
    assert not (tmp_path / "run").exists()
    assert sum(other in said for _, _, other in REFUSALS.values()) == 1


def test_a_valid_set_trains(tmp_path, capsys):
    code, said = _train(tmp_path, capsys, None, {})
    assert code == 0, said
    assert json.loads((tmp_path / "run" / "run.json").read_text())["uncalibrated"] == []


def test_a_set_on_another_file_system_trains_and_an_edited_one_does_not(tmp_path, capsys):
    import fsspec

    memory, path = fsspec.filesystem("memory"), tmp_path / "config.json"
    data = tiny_dataset(tmp_path / "data", receipt={**SCREENED, "policy": POLICY}).path
    path.write_text(json.dumps(CONFIG))
    memory.put(str(data), "/trained/d", recursive=True)
    ask = ["--dataset", "memory://trained/d", "--config", str(path), "--out"]
    try:
        assert main([*ask, str(tmp_path / "run")]) == 0, capsys.readouterr().err
        _edited_shard(data, None)
        memory.rm("/trained", recursive=True)
        memory.put(str(data), "/trained/d", recursive=True)
        assert main([*ask, str(tmp_path / "other")]) == 2
        assert "was changed after the screening" in capsys.readouterr().err
    finally:
        memory.rm("/trained", recursive=True)
