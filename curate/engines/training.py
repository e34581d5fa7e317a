"""Trains on workers of Ray Train: `python -m curate.engines.training --engine JSON --ranks 8 --dataset D ...`.

A worker is a rank. Ray Train places the workers, tells them of each other and sets up their process group; the loop and
the checkpoints are `trainer.train`'s. O and D are on storage that every node sees at the same path.

When a worker is lost all are started again, as many as there is room for, and go on from the newest checkpoint. We
count that, not Ray's `FailureConfig`: it would start a run whose loss is not finite again, too.

To its caller it is as `trainer.train` is: on a signal the ranks save a checkpoint and end; the last line on stderr is
the error of the rank that failed first, and its exit code is ours.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from curate.errors import Interrupted, RushesError, SpecError, StageCrashed, StorageError, UnscreenedData
from curate.spec import Engine, Resource

if TYPE_CHECKING:
    from trainer.ray_worker import Job

# A node may be lost more than once, but workers that die this often between two checkpoints have another illness.
_MOST_LOST = 4
_POLL_S = 0.2
# Read by Ray Train in the driver, which passes them on to its controller and its workers.
_QUIET = {
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
    "RAY_TRAIN_ENABLE_CONTROLLER_STRUCTURED_LOGGING": "0",
    "RAY_TRAIN_ENABLE_WORKER_STRUCTURED_LOGGING": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
# How Ray Train says that workers could not be placed in time. It has them in no public module.
_NO_ROOM = ("WorkerGroupStartupTimeoutError", "WorkerGroupStartupFailedError")


class _Stopped(Exception):
    """A signal came before the first step, or after workers were lost: there is nothing to save."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class _Failed(RushesError):
    """What a rank raised, as the command line says it."""

    def __init__(self, rank: str, error: BaseException) -> None:
        if isinstance(error, OSError):
            sentence, self.exit_code = f"the disk refused: {error}", StorageError.exit_code
        elif isinstance(error, RushesError):
            named = f"{type(error).__name__}: " if isinstance(error, UnscreenedData) else ""
            sentence, self.exit_code = f"{named}{error}", error.exit_code
        else:
            sentence = f"{type(error).__name__}: {error}"
        super().__init__(f"{rank}{sentence}")


class Driver:
    """One run: attempts, what the ranks say, signals."""

    def __init__(self, job: Job, each: Resource, counts: list[int], own: bool) -> None:
        self._job, self._each, self._counts, self._own = job, each, counts, own
        self.signal: int | None = None
        self.result: dict[str, Any] | None = None

    def go(self) -> None:
        """Train, with new workers as long as some are lost.

        Raises:
            RushesError: what a rank raised, named by its rank; or workers were lost too often, or never fit.
            _Stopped: by a signal, with nothing to save.
        """
        lost, waiting, reached = 0, False, self._newest()
        while True:
            count = self._count(waiting)
            error = self._attempt(count)
            if error is None:
                return
            if self.signal is not None and _own_failure(error) is None:
                raise _Stopped(self.signal)
            waiting = _had_no_room(error)
            if waiting:
                continue
            self._raise_own_failure(error, count)
            newest = self._newest()
            lost, reached = lost + 1 if newest == reached else 1, newest
            if lost > _MOST_LOST:
                raise StageCrashed(
                    "workers:lost", f"workers were lost {lost} times without a checkpoint between; see Ray's logs"
                )
            print("train: a worker was lost; going on from the newest checkpoint", file=sys.stderr, flush=True)

    def _newest(self) -> str:
        """Return the name of the newest checkpoint, by which losses are told from progress."""
        found = (Path(self._job.out) / "checkpoints").glob("step-*")
        return max((path.name for path in found), default="")

    def _count(self, waiting: bool) -> int:
        """Return how many workers to start: the most that living nodes have room for; else the fewest, and wait."""
        import ray

        needs, room = self._needs(), 0
        for node in ray.nodes():
            if node["Alive"]:
                room += int(min(node["Resources"].get(name, 0) // need for name, need in needs.items()))
        for count in self._counts:
            if count <= room:
                return count
        fewest = self._counts[-1]
        text = f"{fewest} workers with {' and '.join(f'{need:g} {name}' for name, need in needs.items())} each"
        if self._own:
            raise SpecError(
                f"engine.resources.train: {text}, and there is room for {room} on this machine: ask for less, or name"
                " the `address` of a cluster"
            )
        if not waiting:
            print(f"train: waiting for {text}; the cluster has room for {room}", file=sys.stderr, flush=True)
        return fewest

    def _needs(self) -> dict[str, float]:
        return {name: need for name, need in (("CPU", self._each.cpus), ("GPU", self._each.gpus)) if need}

    def _attempt(self, count: int) -> Exception | None:
        """Start so many workers and see them to their end; returns Ray Train's error, if there was one."""
        import ray

        found: list[Exception] = []

        def fit() -> None:
            try:
                self._trainer(count).fit()
            except Exception as error:  # noqa: BLE001 told to the main thread, which knows what to do
                found.append(error)

        ray.get(self._job.board.begin.remote())
        # Not in the main thread, where Ray Train would take Ctrl-C for itself.
        thread = threading.Thread(target=fit, daemon=True)
        thread.start()
        told = False
        while thread.is_alive():
            thread.join(_POLL_S)
            self._relay()
            if self.signal is not None and not told:
                told = True
                if not ray.get(self._job.board.stop.remote(self.signal)):
                    raise _Stopped(self.signal)
        self._relay()
        return found[0] if found else None

    def _trainer(self, count: int) -> Any:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        from curate.stages.learn import _KEEP_MEMORY
        from trainer.ray_worker import work

        loopback = {"GLOO_SOCKET_IFNAME": "lo"} if self._own and sys.platform == "linux" else {}
        scaling = ScalingConfig(
            num_workers=count, use_gpu=self._each.gpus > 0, resources_per_worker=self._needs()
        )  # fmt: skip
        running = RunConfig(
            name="ray", storage_path=self._job.work,
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
            worker_runtime_env={"env_vars": {**_KEEP_MEMORY, **loopback}},
        )  # fmt: skip
        return TorchTrainer(work, train_loop_config={"job": self._job}, scaling_config=scaling, run_config=running)

    def _relay(self) -> None:
        import ray

        said, self.result = ray.get(self._job.board.take.remote())
        if said:
            sys.stderr.write("".join(said))
            sys.stderr.flush()

    def _raise_own_failure(self, error: Exception, count: int) -> None:
        """Raise what ended the run, unless workers were lost."""
        own = _own_failure(error)
        if own is None:
            return
        rank, failure = own
        if not isinstance(failure, RushesError | OSError):
            print(error, file=sys.stderr)  # nobody foresaw it: with its traceback
        raise _Failed(f"rank {rank}: " if rank is not None and count > 1 else "", failure) from error

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Note SIGTERM and SIGINT; a second request has the signal's usual effect."""
        from trainer.stopping import Request

        before, request = {}, Request()

        def note(number: int, frame: FrameType | None) -> None:
            if request.again():
                signal.signal(number, before[number])
                signal.raise_signal(number)
            self.signal = self.signal or number

        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _had_no_room(error: Exception) -> bool:
    """Whether the workers could not be placed in time: a busy cluster, or one that has just lost a node."""
    from ray.train import ControllerError

    return isinstance(error, ControllerError) and type(error.controller_failure).__name__ in _NO_ROOM


def _own_failure(error: Exception) -> tuple[int | None, BaseException] | None:
    """Return the first rank with an error of its own, and that; None when workers, nodes or places were lost."""
    from ray.exceptions import RayActorError
    from ray.train import TrainingFailedError, WorkerGroupError

    if _had_no_room(error):
        return None
    if not isinstance(error, WorkerGroupError):
        # Nodes may be taken away and say so before; what the controller or Ray itself raises is no loss of a worker.
        taken = isinstance(error, TrainingFailedError) and not hasattr(error, "controller_failure")
        return None if taken else (None, error)
    for rank, failure in sorted(error.worker_failures.items()):
        gone = isinstance(getattr(failure, "health_check_failure", failure), RayActorError)
        if not gone and not (isinstance(failure, StageCrashed) and failure.reason.startswith("ranks:")):
            return rank, failure
    return None


def run(args: argparse.Namespace) -> int:
    """Attach to the cluster, train, and leave it; returns the exit code. Raises RushesError."""
    os.environ.update({name: os.environ.get(name, value) for name, value in _QUIET.items()})
    from curate.engines.ray import connect
    from trainer.config import TrainConfig, read_config
    from trainer.ray_worker import MARK, Board, Job

    engine = Engine.model_validate_json(args.engine)
    config = read_config(args.config, TrainConfig).model_dump(mode="json")
    # Ray Train wants a folder for checkpoints, which it does not get; it would be ~/ray_results.
    litter = args.out.absolute().with_name(f".ray-{args.out.name}")
    own = connect(engine)  # before anything else imports Ray
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    try:
        shutil.rmtree(litter, ignore_errors=True)  # of a driver that was killed
        litter.mkdir(parents=True)
        (litter / MARK).touch()
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        board: Any = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()  # type: ignore[attr-defined]
        each = engine.resources["train"]
        dataset, out = str(args.dataset.absolute()), str(args.out.absolute())
        job = Job(dataset, out, config, str(litter), str(Path.cwd()), each.gpus > 0, board)
        driver = Driver(job, each, args.ranks, own)
        with driver.signals():
            driver.go()
        result = driver.result or {}
        print(json.dumps({**result, "out": str(args.out)}))
        return 128 + result["stopped_by"] if result.get("stopped_by") else 0
    finally:
        ray.shutdown()
        shutil.rmtree(litter, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (143 and 130 after SIGTERM and SIGINT)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", required=True, help="JSON of the spec's `engine`")
    parser.add_argument("--ranks", type=int, nargs="+", required=True, help="how many, the most first")
    for name in ("--dataset", "--out", "--config"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args(argv)
    try:
        return run(args)
    except KeyboardInterrupt:  # before anything was started, or a second time
        return Interrupted("").exit_code
    except _Stopped as stop:
        return 128 + stop.number
    except RushesError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: the disk refused: {error}", file=sys.stderr)
        return StorageError.exit_code


if __name__ == "__main__":
    sys.exit(main())
