"""Training on two ranks, by processes of our own and by Ray Train: losses, errors, signals, and what is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import REPO, spec_dict, write_spec
from tests.dataset.tiny import tiny_dataset
from tests.trainer.test_packs import BY_TOKENS, MIXED
from tests.trainer.test_train import config
from trainer.train import train

SETTINGS = config(**BY_TOKENS, checkpoint_every=2, steps=4)
HALF = {"cpus": 0.5, "workers": [2, 2]}
ENGINES = ["local", pytest.param("ray", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


def start(kind: str, dataset: Path, folder: Path, **changes) -> subprocess.Popen[str]:
    """The training of `rushes run` as a process; it runs in `folder`/run."""
    raw = spec_dict(folder, folder / "out")
    raw["engine"] = {"kind": kind, "resources": {"train": HALF}}
    raw["train"] = {**SETTINGS.model_dump(mode="json", exclude_none=True), **changes}
    spec = write_spec(folder / "spec.yaml", raw)
    return subprocess.Popen(
        [sys.executable, "-m", "tests.learning.train_child", str(spec), str(dataset), str(folder / "run")],
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPO,
        env={**os.environ, "HOME": str(folder), "RAY_worker_niceness": "0"},  # on a busy machine 15 is for ever
    )


@pytest.fixture
def launched(dataset, tmp_path):
    """Starts a long run that has taken two steps when it is returned, and does not outlive the test."""
    processes = []

    def begin(kind: str, **changes) -> subprocess.Popen[str]:
        processes.append(start(kind, dataset, tmp_path, **{"steps": 100_000, "checkpoint_every": 100_000, **changes}))
        wait_for_step(tmp_path / "run", 2, processes[0])
        return processes[0]

    yield begin
    for process in processes:
        process.kill()
        process.wait()
        process.stderr.close()


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 600
    while time.monotonic() < until and process.poll() is None:
        if (run / "log.jsonl").is_file() and len((run / "log.jsonl").read_text().splitlines()) >= step:
            return
        time.sleep(0.1)
    raise AssertionError(f"the run ended ({process.poll()}) or hung before step {step}")


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and stderr. The process does not outlive this call."""
    try:
        said = process.communicate(timeout=900)[1]
        return process.returncode, said
    finally:
        process.kill()


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "log.jsonl").read_text().splitlines()]


def living() -> dict[tuple[int, str], tuple[int, str]]:
    """Parent and title of every process that is no zombie, by its id and the time of its start."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(") ")[2].split()
            if fields[0] not in "ZX":
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(folder.name), fields[19]] = (int(fields[1]), title)
        except OSError:
            continue  # it ended
    return found


def below(pid: int) -> dict[tuple[int, str], str]:
    """Titles of all that a process has started, and what these have."""
    every, found, parents = living(), {}, {pid}
    while True:
        more = {key: title for key, (parent, title) in every.items() if parent in parents and key not in found}
        if not more:
            return found
        found |= more
        parents |= {key[0] for key in more}


def wait_until_gone(started: dict[tuple[int, str], str], within_s: float = 90.0) -> None:
    """Ray's processes notice by polling that their node is gone."""
    until = time.monotonic() + within_s
    while set(started) & set(living()) and time.monotonic() < until:
        time.sleep(0.2)
    every = living()
    assert [started[key] for key in started if key in every] == []


@pytest.mark.parametrize("kind", ENGINES)
def test_two_ranks_have_the_losses_of_one_process(kind, dataset, tmp_path):
    alone = train(dataset, tmp_path / "alone", SETTINGS)
    code, said = ended(start(kind, dataset, tmp_path))
    assert code == 0, said
    assert "train: step 4/4, loss " in said
    assert losses(tmp_path / "run") == pytest.approx(losses(alone.out_dir), rel=0, abs=1e-5)
    left = {path.name for path in tmp_path.iterdir()} - {".ray"}  # HOME is here, and Ray keeps a token in ~/.ray
    assert left == {"alone", "run", "run.json", "spec.yaml"}, "neither ~/ray_results nor a folder of work"


@pytest.mark.parametrize("kind", ENGINES)
def test_an_error_of_one_rank_is_what_is_told(kind, dataset, tmp_path):
    """The first rank alone reads the receipt; the other one only sees that it is gone."""
    code, said = ended(start(kind, dataset, tmp_path, allow_unscreened=["explicit"]))
    assert code == 2, said
    assert said.splitlines()[-1].startswith("UnscreenedData: rank 0: ")
    assert "is not screened for violence" in said.splitlines()[-1]
    assert "ranks:lost" not in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "number", "code"),
    [("local", signal.SIGTERM, 143), ("local", signal.SIGINT, 130), ("ray", signal.SIGINT, 130)],
)
def test_a_signal_saves_a_checkpoint_and_leaves_nothing(kind, number, code, launched, tmp_path):
    process = launched(kind)
    started = below(process.pid)
    process.send_signal(number)
    found, said = ended(process)
    assert found == code, said
    assert "Traceback" not in said
    done = len(losses(tmp_path / "run"))
    assert (tmp_path / "run" / "checkpoints" / f"step-{done:08d}").is_dir()
    wait_until_gone(started)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["local", "ray"])
def test_nothing_is_left_of_a_driver_that_is_killed(kind, launched):
    process = launched(kind)
    started = below(process.pid)
    assert len(started) >= 3  # what launches, and two ranks
    process.kill()
    process.wait()
    wait_until_gone(started)


@pytest.mark.slow
def test_a_run_goes_on_when_a_worker_is_lost_and_then_hears_a_signal(launched, tmp_path):
    process, run = launched("ray", checkpoint_every=2), tmp_path / "run"
    wait_for_step(run, 4, process)
    workers = [key for key, title in below(process.pid).items() if "RayTrainWorker" in title]
    assert len(workers) == 2
    os.kill(max(workers)[0], signal.SIGKILL)
    while set(workers) & set(living()):
        time.sleep(0.1)
    wait_for_step(run, len(losses(run)) + 3, process)  # the log was cut to the checkpoint in between, or will be
    process.send_signal(signal.SIGTERM)
    code, said = ended(process)
    assert code == 143, said
    assert said.count("train: a worker was lost; going on from the newest checkpoint") == 1
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.slow
def test_a_rank_that_is_killed_is_named(launched):
    process = launched("local")
    ranks = [key[0] for key, title in below(process.pid).items() if "trainer.train" in title]
    assert len(ranks) == 2
    os.kill(max(ranks), signal.SIGKILL)
    code, said = ended(process)
    assert code == 1, said
    assert re.match(
        r"RushesError: train ended with exit code 1: error: rank \d: ended by SIGKILL; run again", last(said)
    )
    assert "ranks:lost" not in said


def last(said: str) -> str:
    return said.splitlines()[-1]
