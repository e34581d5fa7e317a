"""What is shown of a run: the same training with it and without, the sampler's own files, no step twice."""

from __future__ import annotations

import json
import math
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from curate.errors import SpecError
from tests.dataset.tiny import ALLOW, tiny_dataset
from tests.trainer.test_train import MIXED, config
from tests.trainer.test_validation import Threads, data
from trainer import board
from trainer.board import Board
from trainer.config import SampleConfig, SamplesConfig
from trainer.loop import Trainer
from trainer.sample import sample
from trainer.sheet import COLUMNS, GAP, TALL, WORDS, Sheet
from trainer.train import train
from trainer.watching import Samples

HOW = {"steps": 2, "guidance": 2.0, "seed": 3}
PROMPTS = ["a red circle", {"prompt": "b", "frames": 5, "width": 48, "height": 32}, {"prompt": "c", "task": "image"}]
PLAIN = {"steps": 7, "eval_every": 3, "eval_clips": 2, "checkpoint_every": 3}
SHOWN = {**PLAIN, "samples": {"every": 2, "prompts": PROMPTS, **HOW}, "tensorboard": True}


class Killed(Exception):
    pass


def killed_at(step: int):
    def on_step(record) -> None:
        if record["step"] == step:
            raise Killed

    return on_step


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


@pytest.fixture(scope="module")
def unwatched(dataset, tmp_path_factory) -> Path:
    return train(dataset, tmp_path_factory.mktemp("plain") / "r", config(**PLAIN)).out_dir


@pytest.fixture(scope="module")
def watched(dataset, tmp_path_factory) -> Path:
    """A run that is shown, was stopped after step 5, and went on from its checkpoint of step 3."""
    out = tmp_path_factory.mktemp("shown") / "r"
    with pytest.raises(Killed):
        train(dataset, out, config(**SHOWN), on_step=killed_at(5))
    assert sorted(path.name for path in (out / "samples").iterdir()) == ["step-00000002", "step-00000004"]
    (out / "samples" / "step-00000004" / "sheet.png").write_bytes(b"of another time")
    (out / "samples" / "step-00000005").mkdir()
    return train(dataset, out, config(**SHOWN)).out_dir


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def comment(path: Path) -> dict:
    if path.suffix == ".png":
        with Image.open(path) as picture:
            return json.loads(picture.info["Comment"])
    with av.open(str(path)) as container:
        return json.loads(container.metadata["comment"])


def frames(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_run_that_is_shown_is_the_same_to_the_last_bit(unwatched, watched):
    for log in ("log.jsonl", "eval.jsonl"):
        wanted, found = rows(unwatched / log), rows(watched / log)
        assert [r["step"] for r in found] == [r["step"] for r in wanted]
        assert [r["loss"] for r in found] == [r["loss"] for r in wanted]
    assert [r["grad_norm"] for r in rows(watched / "log.jsonl")] == [
        r["grad_norm"] for r in rows(unwatched / "log.jsonl")
    ]
    name = "checkpoints/step-00000007/shard-00000.safetensors"
    wanted, found = load_file(unwatched / name), load_file(watched / name)
    assert {key for key in found if not torch.equal(found[key], wanted[key])} == set()
    assert set(found) == set(wanted)
    keys = [json.loads((run / "run.json").read_bytes())["run_key"] for run in (watched, unwatched)]
    assert keys[0] == keys[1]


def test_samples_are_what_the_sampler_makes_of_the_exported_model(watched, tmp_path):
    steps = [f"step-{step:08d}" for step in (2, 4, 6, 7)]  # every second, and the last; none of a step taken again
    assert sorted(path.name for path in (watched / "samples").iterdir()) == steps
    requests = SamplesConfig.model_validate(SHOWN["samples"]).prompts
    assert isinstance(requests, list)
    lines = sample(watched, requests, tmp_path / "s", SampleConfig.model_validate(HOW))
    last = watched / "samples" / "step-00000007"
    assert rows(last / "prompts.jsonl") == lines
    for line in lines:
        assert np.array_equal(frames(last / line["path"]), frames(tmp_path / "s" / line["path"]))
        assert comment(last / line["path"]) == {**comment(tmp_path / "s" / line["path"]), "trained_steps": 7}
    earlier = frames(watched / "samples" / "step-00000002" / "000.mp4")
    assert not np.array_equal(earlier, frames(last / "000.mp4"))


def test_the_sheet_carries_its_provenance_and_shows_the_frames(watched):
    folder = watched / "samples" / "step-00000004"
    card = comment(folder / "sheet.png")
    assert card["prompt"] == ["a red circle", "b", "c"]
    assert (card["task"], card["seed"]) == (["t2v", "t2v", "image"], [3, 4, 5])
    assert (card["synthetic"], card["unscreened"], card["trained_steps"]) == (True, ALLOW, 4)
    assert card["model_sha256"] == comment(folder / "000.mp4")["model_sha256"]
    with Image.open(folder / "sheet.png") as picture:
        assert picture.height == 3 * (WORDS + TALL + GAP)
        assert picture.width == max(COLUMNS * (TALL + GAP), 5 * (round(48 * TALL / 32) + GAP))


def test_a_sheet_has_a_row_a_clip_and_frames_from_first_to_last():
    clip = np.stack([np.full((TALL, TALL, 3), 20 * t, np.uint8) for t in range(11)])
    sheet = Sheet()
    sheet.add(1, "still", clip[3:4])
    sheet.add(0, "moves, \N{SNOWMAN}", clip)
    found = sheet.pixels()
    assert found.shape == (2 * (WORDS + TALL + GAP), COLUMNS * (TALL + GAP), 3)
    centres = [found[WORDS + TALL // 2, column * (TALL + GAP) + TALL // 2, 0] for column in range(COLUMNS)]
    assert centres == [0, 40, 80, 120, 160, 200]
    second = 2 * WORDS + TALL + GAP + TALL // 2
    assert (found[second, TALL // 2, 0], found[second, TALL + GAP + 5, 0]) == (60, 255)
    assert (found[:WORDS] < 128).any()
    for place in range(40):
        sheet.add(place, "", clip[:1])
    assert sheet.pixels().shape[0] == 32 * (WORDS + TALL + GAP)


def test_tensorboard_shows_every_step_once(watched):
    events = EventAccumulator(str(watched / "tensorboard"), size_guidance={"images": 0, "scalars": 0}).Reload()
    log, evaluations = rows(watched / "log.jsonl"), rows(watched / "eval.jsonl")
    for name in ("loss", "lr", "grad_norm", "tokens_per_second", "mfu", "data_wait_s"):
        shown = [(event.step, event.value) for event in events.Scalars(f"train/{name}")]
        assert shown == [(r["step"], pytest.approx(r[name], rel=1e-6)) for r in log], name
    for tag, part in (("loss", lambda r: r["loss"]), ("splits/task/t2v/predict_zero", lambda r: r["predict_zero"])):
        shown = [(event.step, event.value) for event in events.Scalars(f"validation/{tag}")]
        assert shown == [(r["step"], pytest.approx(part(r), rel=1e-5)) for r in evaluations], tag
    images = events.Images("samples")
    assert [image.step for image in images] == [2, 4, 6, 7]
    with Image.open(watched / "samples" / "step-00000007" / "sheet.png") as sheet:
        assert (images[-1].width, images[-1].height) == sheet.size


def test_every_rank_makes_as_many_passes_and_the_first_writes(dataset, watched, tmp_path):
    card = json.loads((watched / "run.json").read_bytes())
    wanted = SamplesConfig.model_validate({**SHOWN["samples"], "batch": 1})
    held = data(dataset)
    for rank in (0, 1):
        trainer = Trainer(held, held.config, "fp32")
        trainer.ranks = Threads(rank, 2)
        passes = []
        trainer.model.register_forward_hook(lambda *_, passes=passes: passes.append(1))
        sheet = Samples(trainer, wanted, tmp_path / str(rank), card).make(4)
        assert len(passes) == len(PROMPTS) * HOW["steps"]
        assert (sheet is None) == (rank == 1)
        assert (tmp_path / str(rank)).exists() == (rank == 0)


def test_what_cannot_be_shown_is_refused_before_the_first_step(dataset, tmp_path, monkeypatch):
    for samples, sentence in (
        ({"every": 2, "prompts": []}, "`prompts` is empty"),
        ({"every": 2, "prompts": ["a"], "threads": 2}, "made with the run's own `train: threads`"),
        ({"prompts": ["a"]}, "every"),
    ):
        with pytest.raises(ValueError, match=sentence):
            config(samples=samples)
    with pytest.raises(SpecError, match="width 20 is not a multiple"):
        train(dataset, tmp_path / "a", config(samples={"every": 2, "prompts": ["a"], "width": 20}))
    assert not (tmp_path / "a" / "log.jsonl").exists()
    monkeypatch.setattr("curate.extras.find_spec", lambda name: None)  # as where it is not installed
    with pytest.raises(SpecError, match=r"train\.tensorboard: .*pip install 'rushes\[tensorboard\]'"):
        Board(tmp_path / "b", 0)


def test_numbers_of_records_get_names_and_nothing_else_does():
    found = board._flat("x", {"a": 1, "b": {"c": 2.5, "d": [1, 2]}, "e": "text"})
    assert found == {"x/a": 1.0, "x/b/c": 2.5}
    assert all(math.isfinite(value) for value in found.values())
