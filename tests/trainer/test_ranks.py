"""Two real processes on the loopback against one: gradients, losses, signals, another number of ranks midway."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from curate.dataset.reader import Dataset
from curate.errors import SpecError
from tests.dataset.tiny import tiny_dataset
from tests.trainer.checkpoint_child import equal, whole
from tests.trainer.ranks_child import SETTINGS, STOP_AT, gradients, ready
from tests.trainer.test_packs import MIXED
from tests.trainer.test_train import command, config
from trainer.checkpoint import Checkpoints
from trainer.ranks import Ranks, joined
from trainer.train import train

STEP_3 = 3


def two_ranks(*commands: list[str]) -> list[tuple[int, str]]:
    """Run a command a rank, as torchrun would; returns exit code and stderr of each. Neither outlives this call."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            arguments, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env={**place, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank, arguments in enumerate(commands)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=300)[1] for process in started]
        return [(process.returncode, text) for process, text in zip(started, said, strict=True)]
    finally:
        for process in started:
            process.kill()
            process.wait()


def left_by_two(child: str, dataset: Path, alone: Path, folder: Path, gone: Sequence[str]) -> Path:
    """Let two ranks of a child take on, in `folder`/run, what one process had done but for what is `gone`."""
    shutil.copytree(alone, folder / "run")
    for path in gone:
        shutil.rmtree(folder / "run" / path)
    arguments = [sys.executable, "-m", f"tests.trainer.{child}", str(dataset), str(folder), str(folder / "run")]
    ended = two_ranks(arguments, arguments)
    assert [code for code, _ in ended] == [0, 0], ended
    return folder


def told(folder: Path) -> list[dict]:
    """What each of two ranks left as JSON."""
    return [json.loads((folder / f"{rank}.json").read_bytes()) for rank in (0, 1)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


@pytest.fixture(scope="module")
def alone(dataset, tmp_path_factory) -> Path:
    """The whole run of one process."""
    return train(dataset, tmp_path_factory.mktemp("alone") / "r", SETTINGS).out_dir


@pytest.fixture(scope="module")
def left(dataset, alone, tmp_path_factory) -> Path:
    """What two ranks left: they took on, in `run`, what one process had begun and left in the middle of an epoch."""
    gone = [f"checkpoints/step-{step:08d}" for step in (8, 12)]
    return left_by_two("ranks_child", dataset, alone, tmp_path_factory.mktemp("ranks"), gone)


@pytest.fixture(scope="module")
def said(left) -> list[dict]:
    return told(left)


def records(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("how", ["shared", "uneven"])
def test_the_gradients_of_two_ranks_are_those_of_one_process(left, dataset, how):
    trainer = ready(dataset, Ranks())
    wanted = gradients(trainer, 2, trainer.data.step(2))
    assert max(float(value.abs().max()) for value in wanted.values()) > 1e-2
    for rank in (0, 1):
        found = load_file(left / f"{how}-{rank}.safetensors")
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            assert torch.allclose(found[name], value, rtol=0, atol=1e-5), name


def test_both_ranks_have_the_same_weights_and_losses(said):
    assert said[0]["weights"] == said[1]["weights"]
    assert said[0]["losses"] == said[1]["losses"]


def test_each_rank_has_noise_of_its_own_and_it_is_that_of_one_process(said, dataset):
    first, second = said[0]["noise"], said[1]["noise"]
    assert first
    assert second
    assert not set(first) & set(second)
    assert not set(first.values()) & set(second.values())
    groups = ready(dataset, Ranks()).data.step(STEP_3)
    assert {clip for group in groups for clip in group.clip_ids} == set(first) | set(second)


def test_a_signal_to_one_rank_stops_all_and_the_run_goes_on_with_another_number_of_them(said, left, alone, dataset):
    """One process to step 4, two ranks to about step 8, one process to the end: in the middle of epochs."""
    stopped = said[0]["steps"]
    assert STOP_AT <= stopped < 12, "the signal comes during that step or soon after"
    assert [(facts["stopped_by"], facts["steps"]) for facts in said] == [(signal.SIGTERM, stopped)] * 2
    run = left / "run"
    assert (run / "checkpoints" / f"step-{stopped:08d}").is_dir()
    assert [record["step"] for record in records(run)] == list(range(1, stopped + 1))
    assert train(dataset, run, SETTINGS).steps == 12
    wanted, found = records(alone), records(run)
    assert len(found) == 12
    for one, two in zip(wanted, found, strict=True):
        assert two["loss"] == pytest.approx(one["loss"], rel=0, abs=1e-5)
        assert all(two[key] == one[key] for key in ("step", "lr", "tokens", "flops", "captions", "fell_back", "waste"))
    assert [r["loss"] for r in found[:4]] == [r["loss"] for r in wanted[:4]]


def test_checkpoints_of_whole_and_sharded_tensors_are_read_as_either_by_any_number_of_ranks(said, left):
    """Values are changed in place while they are written; one rank's disk that refuses is told to both."""
    for facts in said:
        found = facts["checkpoints"]
        assert [found[f"{step} as {how}"] for step in (1, 2) for how in ("whole", "sharded")] == [True] * 4
        assert found["files"] == ["shard-00000.safetensors", "shard-00001.safetensors", "state.json"]
        assert found["refused"].startswith("StorageError: cannot write ")
        assert "step-00000003" in found["refused"]
    names = [path.name for path in (left / "tensors" / "checkpoints").glob("step-*")]
    assert sorted(names) == ["step-00000001", "step-00000002"]
    with Checkpoints(left / "tensors", "k", Ranks()) as alone:
        newest, blank = alone.newest(), whole(0)
        assert newest is not None
        alone.load(newest, {"weights": blank})
    assert equal(blank, 2)


def test_a_loss_that_is_not_finite_on_one_rank_ends_both_and_names_its_clips(said, dataset):
    data = ready(dataset, Ranks()).data
    other, mine = ({clip for g in data.step(STEP_3, rank, 2) for clip in g.clip_ids} for rank in (0, 1))
    for facts in said:
        assert facts["error"].startswith("step 4: loss nan")
        assert all(clip in facts["error"] for clip in mine)
        assert not any(clip in facts["error"] for clip in other - mine)


def test_an_error_on_one_rank_ends_both_with_a_sentence(dataset, tmp_path):
    damaged = shutil.copytree(dataset, tmp_path / "damaged")
    card = Dataset(dataset).card
    shard = damaged / card["shards"]["clips"][0]["path"]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    settings = SETTINGS.model_dump(mode="json", exclude_none=True)
    ended = two_ranks(*(command(data, tmp_path / "r", settings) for data in (dataset, damaged)))
    assert [code for code, _ in ended] == [1, 74], ended
    assert "error: rank 1: " in ended[1][1]
    assert shard.name in ended[1][1]
    assert "error: rank 0: ranks:lost: rank 0 of 2 cannot go on, since another one has ended" in ended[0][1]
    assert not any("Traceback" in text for _, text in ended)


def test_packs_that_ranks_cannot_share_and_half_an_environment_are_refused(dataset, tmp_path, monkeypatch):
    with pytest.raises(SpecError, match=r"2 ranks cannot share packs_per_step 1 evenly: set `train: packs_per_step`"):
        train(dataset, tmp_path / "r", config(), ranks=Ranks(0, 2))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(SpecError, match="launch with torchrun"), joined():
        pass


SLOW = """
import datetime, sys, time
import torch, torch.distributed as dist
from trainer.ranks import joined
with joined() as ranks:
    ranks.wait()
    dist.group.WORLD._get_backend(torch.device("cpu"))._set_default_timeout(datetime.timedelta(seconds=3))
    found = ranks.first_does(lambda: time.sleep(5) or "done", word_s=0.5)
    sys.exit(0 if (found == "done") == ranks.first else 3)
"""


def test_ranks_wait_for_the_first_ones_work_for_longer_than_they_wait_for_an_answer():
    command = [sys.executable, "-c", SLOW]
    ended = two_ranks(command, command)
    assert [code for code, _ in ended] == [0, 0], ended
