"""Trains a video diffusion transformer on an exported dataset: `python -m trainer.train --dataset D --out O`.

On several devices: `torchrun --nproc-per-node 2 -m trainer.train ...`. The first rank alone writes.

    OUT/run.json        config, dataset digest, codec, text encoder, latent statistics: what sampling needs
    OUT/clips.jsonl     a line a clip of the dataset: trained, held_out, or why it is neither
    OUT/log.jsonl       a line a step; OUT/eval.jsonl a line a validation (validation.py)
    OUT/samples, tensorboard  see watching.py
    OUT/checkpoints/    see checkpoint.py; a run goes on from the newest by itself
    OUT/model, refiner  the averaged weights, written at the end; OUT/export.json says of which run and step

A resumed run's losses are bitwise those of an unbroken one (same machine, ranks, thread count and versions); with
another number of ranks the clips and their noise are the same, and the losses but for the order of sums.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from curate.dataset.reader import Dataset
from curate.dataset.receipts import uncalibrated_categories, unscreened_categories, verify_receipt
from curate.errors import RushesError, SpecError, StorageError, UnscreenedData
from trainer.ahead import Ahead
from trainer.checkpoint import Checkpoints
from trainer.config import SCHEDULING, VERSION, TrainConfig, read_config
from trainer.data import TrainingData, shared_evenly
from trainer.durable import storing, write_json
from trainer.exported import export_model, is_exported
from trainer.logs import LOGS, append, make_durable, truncate_log, write_lines
from trainer.loop import Trainer
from trainer.metrics import faster_precision, peak_memory
from trainer.provenance import fingerprint, init_sha256
from trainer.ranks import Ranks, joined, label
from trainer.stopping import Request
from trainer.watching import Watch

# How often the command line says where it is.
_REPORT_S = 10.0

OnStep = Callable[[dict[str, Any]], None]
Stop = Callable[[], int | None]


@dataclass(frozen=True)
class TrainResult:
    """Where the run is, how many steps are done, the last loss, and the signal that stopped it (or None)."""

    out_dir: Path
    steps: int
    loss: float | None
    stopped_by: int | None


def train(
    dataset_dir: Path | str, out_dir: Path, config: TrainConfig, *, on_step: OnStep | None = None,
    ranks: Ranks | None = None, stop: Stop | None = None,
) -> TrainResult:  # fmt: skip
    """Train to `config.steps`, going on from the newest checkpoint in `out_dir`; SIGTERM and SIGINT checkpoint first.

    With several `ranks` all of them call this, with equal arguments; `on_step` is called on the first. `stop` is asked
    after every step, and returns the signal that came where this process cannot catch it, or None.
    Raises UnscreenedData without a valid receipt, SpecError when the folder belongs to another run, the data do not fit
    the config or the ranks differ, RushesError when the loss is not finite (it names the clips), StorageError on the
    disk, StageCrashed when another rank has ended.
    """
    ranks, out_dir = ranks or Ranks(), Path(out_dir)
    shared_evenly(config, ranks.world)
    # The receipt's check reads every byte, which takes hours of a large dataset; nothing else is read before.
    receipt = ranks.first_does(lambda: verify_receipt(
        dataset_dir, config.allow_unscreened, allow_uncalibrated=config.allow_uncalibrated,
        require_policy=config.require_policy,
    ))  # fmt: skip
    if ranks.first:
        with storing(out_dir):
            out_dir.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    # The receipt's check has just read every byte, on the first rank.
    dataset = Dataset(dataset_dir, config.cache_mib << 20, text_encoder=config.text_encoder, verify=not ranks.first)
    data = TrainingData(dataset, config)
    run = ranks.told(_run_json(out_dir, data, config, receipt, ranks) if receipt else None)
    _same_on_all(ranks, "dataset or config", fingerprint([config.model_dump(mode="json"), dataset.card]))
    trainer = Trainer(data, config, run["precision"], ranks)
    with Checkpoints(out_dir, run["run_key"], ranks, config.keep, config.keep_every) as checkpoints:
        trainer.resume(checkpoints)
        if ranks.first:
            _say_what_is_left_out(data, run)
            _begin_files(out_dir, data, run, trainer.done)
        with Watch(trainer, out_dir, run) as watch:
            loss, stopped_by = _finish(trainer, out_dir, checkpoints, watch, on_step, stop)
    return TrainResult(out_dir, trainer.done, loss, stopped_by)


def _finish(
    trainer: Trainer, out_dir: Path, checkpoints: Checkpoints, watch: Watch, on_step: OnStep | None, stop: Stop | None
) -> tuple[float | None, int | None]:
    """Take the steps that are left and export; return the last loss and the stopping signal."""
    ranks, run_key = trainer.ranks, checkpoints.run_key
    with _Signals(stop) as signals:
        loss, stopped_by = _take_steps(trainer, out_dir, checkpoints, signals, watch, on_step)
        checkpoints.wait()
        if stopped_by is None and not ranks.told(ranks.first and is_exported(out_dir, run_key, trainer.done)):
            average = trainer.full_average()
            if average is not None:
                export_model(out_dir, average, run_key, trainer.done)
        ranks.wait()  # a launcher ends the others as soon as one has ended
    return loss, stopped_by


def _same_on_all(ranks: Ranks, what: str, value: Any) -> None:
    if ranks.told(value) != value:
        raise SpecError(f"rank {ranks.rank} has another {what} than rank 0: give every rank the same")


def _say_what_is_left_out(data: TrainingData, run: dict[str, Any]) -> None:
    if data.uncaptioned:
        print(
            f"train: {data.uncaptioned} of {len(data.rows)} clips have no caption of a kind that has a weight;"
            " they teach the empty text",
            file=sys.stderr,
        )
    left_out = {fate: count for fate, count in run["fates"].items() if fate not in ("trained", "held_out")}
    if left_out:
        counts = ", ".join(f"{count} {fate}" for fate, count in sorted(left_out.items()))
        print(f"train: clips left out of {len(data.fates)}: {counts}; see clips.jsonl", file=sys.stderr)


def _begin_files(out_dir: Path, data: TrainingData, run: dict[str, Any], done: int) -> None:
    with storing(out_dir / "run.json"):
        write_json(out_dir / "run.json", run)
    write_lines(out_dir / "clips.jsonl", [json.dumps(record) + "\n" for record in data.clip_records()])
    for log in LOGS:
        truncate_log(out_dir / log, done)


def _run_json(
    out_dir: Path, data: TrainingData, config: TrainConfig, receipt: dict[str, Any], ranks: Ranks
) -> dict[str, Any]:
    """Collect what sampling needs; a precision that `auto` chose before is kept, so that a resume is bitwise."""
    settings = config.model_dump(mode="json")
    # What is learned from, without counts and shard sizes: one more quarantined file is no other run.
    content = data.dataset.card.get("content", receipt["digest"])
    init = [] if config.init is None else [init_sha256(Path(config.init))]
    kept = {k: v for k, v in settings.items() if k not in SCHEDULING}
    run_key = fingerprint([VERSION, kept, content, *init])
    faster = faster_precision if ranks.device.type == "cpu" else lambda: "bf16"
    precision = config.precision if config.precision != "auto" else faster()
    path = out_dir / "run.json"
    if path.is_file():
        try:
            before = json.loads(path.read_bytes())
            precision = before["precision"] if before["run_key"] == run_key else precision
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{path} cannot be read ({error}): restore it, or train into another folder") from error
    return {
        "run_key": run_key, "config": settings, "precision": precision, "receipt_digest": receipt["digest"],
        "unscreened": unscreened_categories(receipt), "uncalibrated": uncalibrated_categories(receipt),
        "codec": data.dataset.card["codec"], "text_encoder": data.dataset.text_encoder,
        "latent_mean": data.normaliser.mean_C.tolist(), "latent_scale": data.normaliser.scale_C.tolist(),
        "clips": len(data.rows), "held_out": len(data.held_out), "uncaptioned": data.uncaptioned,
        "text_pad_to": config.padded_to, "init_sha256": init[0] if init else None,
        "fates": dict(sorted(Counter(data.fates.values()).items())),
        "steps_per_epoch": [data.schedule.steps_of_epoch(stage) for stage in range(len(data.schedule.stages))],
        "default_size": _commonest_size(data.dataset.columns),
    }  # fmt: skip


def _commonest_size(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Return the commonest width, height, num_frames and fps of the videos, of the images where there are no videos."""
    names = ("width", "height", "num_frames", "fps")
    counts = Counter(zip(*(columns[name] for name in names), strict=True))
    videos = [size for size in counts if size[2] > 1]
    return dict(zip(names, max(videos or counts, key=lambda size: (counts[size], size)), strict=True))


def _take_steps(
    trainer: Trainer, out_dir: Path, checkpoints: Checkpoints, signals: _Signals, watch: Watch, on_step: OnStep | None
) -> tuple[float | None, int | None]:
    """Take the steps that are left, with log, validation and checkpoints; return the last loss and the stopping signal.

    A signal that any rank has caught stops all of them, after the same step.
    """
    config, ranks, loss, caught = trainer.config, trainer.ranks, None, 0
    # Measured before the thread that prepares steps begins.
    peak = trainer.peak_flops() if trainer.done < config.steps else 0.0
    with Ahead(trainer.made, trainer.done, config.steps) as ahead:
        for step in range(trainer.done, config.steps):
            start, cpu = time.perf_counter(), time.process_time()
            groups = ahead.take(step)
            waited = time.perf_counter() - start
            record = trainer.step(step, groups)
            seconds = time.perf_counter() - start
            record["seconds"] = round(seconds, 4)
            record["tokens_per_second"] = round(record["tokens"] / seconds, 1)
            record["mfu"] = round(record["flops"] / seconds / (peak * ranks.world), 4)
            record["core_seconds"] = round(time.process_time() - cpu, 4)
            record["data_wait_s"] = round(waited, 5)
            record["memory_mib"] = round(peak_memory(ranks.device) / 2**20, 1)
            trainer.done, loss = step + 1, record["loss"]
            last = trainer.done == config.steps
            logged = trainer.done % config.log_every == 0 or last
            if ranks.first and logged:
                append(out_dir / "log.jsonl", record)
            found = None
            if config.eval_every and trainer.data.held_out and (trainer.done % config.eval_every == 0 or last):
                found = trainer.evaluate()
                if ranks.first:
                    append(out_dir / "eval.jsonl", {"step": trainer.done, **found})
            watch.after(trainer.done, record if logged else None, found, last)
            if on_step is not None and ranks.first:
                on_step(record)
            caught = int(max(number for (number,) in ranks.gather([signals.noted()])))
            if trainer.done % config.checkpoint_every == 0 or last or caught:
                watch.flush()
                if ranks.first:
                    make_durable(out_dir)
                trainer.save(checkpoints)
            if caught:
                break
    return loss, caught or None


class _Signals:
    """Notes SIGTERM and SIGINT while a run takes its steps; a second request has the signal's usual effect."""

    def __init__(self, told: Stop | None = None) -> None:
        self.caught: int | None = None
        self._request = Request()
        self._told = told
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def noted(self) -> int:
        """Return the signal that came by now, or 0."""
        return self.caught or (self._told() if self._told is not None else None) or 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._request.again():
            signal.signal(number, self._before[number])
            signal.raise_signal(number)
        self.caught = self.caught or number

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _reporter(steps: int) -> OnStep:
    """Return an on_step that writes a line to stderr now and then, and after the last step."""
    said = time.monotonic()

    def report(record: dict[str, Any]) -> None:
        nonlocal said
        if time.monotonic() - said >= _REPORT_S or record["step"] == steps:
            said = time.monotonic()
            print(f"train: step {record['step']}/{steps}, loss {record['loss']:.4f}", file=sys.stderr, flush=True)

    return report


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (143 and 130 after SIGTERM and SIGINT)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", required=True, help="a folder, or any fsspec URL of one")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="JSON of a TrainConfig")
    args = parser.parse_args(argv)
    try:
        config = read_config(args.config, TrainConfig)
        with joined() as ranks:
            result = train(args.dataset, args.out, config, on_step=_reporter(config.steps), ranks=ranks)
    except RushesError as error:
        named = f"{type(error).__name__}: " if isinstance(error, UnscreenedData) else ""  # the run tells it by its name
        print(f"error: {label()}{named}{error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # what is written names itself; this is a dataset that cannot be read any more
        print(f"error: {label()}the disk refused: {error}", file=sys.stderr)
        return StorageError.exit_code
    if ranks.first:
        print(json.dumps({"steps": result.steps, "loss": result.loss, "out": str(result.out_dir)}))
    return 0 if result.stopped_by is None else 128 + result.stopped_by


if __name__ == "__main__":
    sys.exit(main())
