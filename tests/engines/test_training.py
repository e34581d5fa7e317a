"""What the driver of a training on Ray makes of errors, of nodes and of what the ranks say; no cluster is started."""

from __future__ import annotations

import copy
import io

import pytest

from curate.engines.training import Driver, _Failed, _own_failure
from curate.errors import RushesError, SpecError, StageCrashed, StorageError, UnscreenedData
from curate.spec import Resource
from trainer.ray_worker import MARK, Board, Job, _refuse_other_storage, _Voice

LOST = StageCrashed("ranks:lost", "rank 0 of 2 cannot go on")


def travelled(error: Exception) -> Exception:
    """A copy by what pickle uses, as an error comes back from another process."""
    return copy.deepcopy(error)


def group(**failures: Exception):
    from ray.train import WorkerGroupError

    return WorkerGroupError("said", {int(rank[1:]): travelled(error) for rank, error in failures.items()})


def test_the_first_rank_with_an_error_of_its_own_is_told_and_a_lost_worker_is_none():
    from ray.exceptions import RayActorError
    from ray.train import ControllerError

    rank, error = _own_failure(group(r0=LOST, r1=UnscreenedData("no receipt"), r2=SpecError("x"))) or (None, None)
    assert rank == 1
    assert isinstance(error, UnscreenedData)
    assert _own_failure(group(r0=LOST, r1=RayActorError())) is None
    assert _own_failure(group(r0=LOST, r1=LOST)) is None
    wrong = ControllerError(ValueError("of Ray"))
    assert _own_failure(wrong) == (None, wrong)
    assert _own_failure(ValueError("x")) is not None


@pytest.mark.parametrize(
    ("error", "sentence", "code"),
    [
        (UnscreenedData("no receipt"), "rank 1: UnscreenedData: no receipt", 2),
        (SpecError("bad"), "rank 1: bad", 2),
        (StorageError("full"), "rank 1: full", 74),
        (OSError(28, "No space"), "rank 1: the disk refused: [Errno 28] No space", 74),
        (RushesError("step 4: loss nan"), "rank 1: step 4: loss nan", 1),
        (ValueError("a bug"), "rank 1: ValueError: a bug", 1),
    ],
)
def test_errors_are_told_as_the_trainer_tells_them(error, sentence, code):
    failed = _Failed("rank 1: ", error)
    assert (str(failed), failed.exit_code) == (sentence, code)


def driver(own: bool, counts: list[int], **each) -> Driver:
    return Driver(Job("d", "o", {}, "w", "f", False, None), Resource(**each), counts, own)


def test_lost_workers_are_counted_between_checkpoints(tmp_path, monkeypatch, capsys):
    attempts = 0

    def attempt(self: Driver, count: int) -> Exception:
        nonlocal attempts
        attempts += 1
        if attempts <= 7:
            (tmp_path / "checkpoints" / f"step-{attempts:08d}").mkdir(parents=True)
        return group(r0=LOST, r1=LOST)

    monkeypatch.setattr(Driver, "_count", lambda self, waiting: 2)
    monkeypatch.setattr(Driver, "_attempt", attempt)
    job = Job("d", str(tmp_path), {}, "w", "f", False, None)
    with pytest.raises(StageCrashed, match="workers were lost 5 times without a checkpoint between"):
        Driver(job, Resource(), [2], own=False).go()
    assert attempts == 7 + 4
    assert capsys.readouterr().err.count("a worker was lost") == 10


@pytest.mark.parametrize(("rooms", "count"), [((8, 8), 8), ((4, 9), 8), ((3, 4), 4), ((3, 0), 2)])
def test_as_many_workers_as_there_is_room_for(rooms, count, monkeypatch):
    """A node has room for whole workers; dead ones have none."""
    import ray

    nodes = [{"Alive": True, "Resources": {"CPU": 4.0 * gpus + 3, "GPU": float(gpus)}} for gpus in rooms]
    monkeypatch.setattr(ray, "nodes", lambda: [*nodes, {"Alive": False, "Resources": {"CPU": 99.0, "GPU": 99.0}}])
    assert driver(False, [8, 4, 2], cpus=4, gpus=1)._count(waiting=False) == count


def test_no_room_is_waited_for_on_a_cluster_and_refused_on_ones_own(monkeypatch, capsys):
    import ray

    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 3.0}}])
    assert driver(False, [4, 2], cpus=2)._count(waiting=False) == 2
    assert capsys.readouterr().err == "train: waiting for 2 workers with 2 CPU each; the cluster has room for 1\n"
    with pytest.raises(SpecError, match="2 workers with 2 CPU each, and there is room for 1 on this machine"):
        driver(True, [4, 2], cpus=2)._count(waiting=False)


def test_the_board_tells_whether_ranks_will_hear_of_a_signal():
    board = Board()
    assert board.stop(15) is False
    assert board.asked() == 15
    assert board.stop(15) is True
    board.begin()
    assert board.stop(15) is False


def test_whole_lines_reach_the_board_and_other_storage_is_refused(tmp_path):
    said: list[str] = []

    class Say:
        remote = said.append

    class Lines:
        say = Say

    voice = _Voice(Lines)
    print("a", "b", file=voice)
    print("c", end="", file=voice)
    print("d\ne", file=voice)
    assert isinstance(voice, io.TextIOBase)
    assert said == ["a b\n", "cd\n", "e\n"]
    job = Job(str(tmp_path / "d"), "o", {}, str(tmp_path), str(tmp_path), False, None)
    (tmp_path / MARK).touch()
    with pytest.raises(SpecError, match=r"node 10.0.0.7 does not see .*/d: training on a cluster needs"):
        _refuse_other_storage(job, "10.0.0.7")
