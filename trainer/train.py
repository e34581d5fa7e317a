"""Trains a video diffusion transformer on an exported dataset: `python -m trainer.train --dataset D --out O`.

    OUT/run.json        config, dataset digest, codec, text encoder, latent statistics: what sampling needs
    OUT/log.jsonl       a line a step; OUT/eval.jsonl a line a validation
    OUT/checkpoints/    see checkpoint.py; a run goes on from the newest by itself
    OUT/model, refiner  the averaged weights, written at the end

A resumed run's losses are bitwise those of an unbroken one (same machine, thread count and versions).
"""

from __future__ import annotations

import argparse
import json
import math
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

import numpy as np
import torch
from torch import Tensor

from curate.dataset.reader import Dataset
from curate.dataset.receipts import verify_receipt
from curate.errors import RushesError, SpecError
from trainer import flow
from trainer.checkpoint import (
    Model, export_model, load_newest, optimizer_tensors, restore_optimizer, save_checkpoint, write_json,
)  # fmt: skip
from trainer.config import TrainConfig
from trainer.data import Group, TrainingData
from trainer.dit import TIME_SCALE, DitConfig, WanDit, initialise
from trainer.metrics import GRID_TIMES, channel_eigenvalues, faster_precision, linear_floor
from trainer.provenance import fingerprint
from trainer.refiner import Refiner

# Early averages would remember the random start: the decay grows as (1 + step) / (10 + step) up to `ema`.
_EMA_RAMP = 10
_BETAS = (0.9, 0.99)
# What does not change the numbers of a run, and may differ when it goes on.
_SCHEDULING = {"threads", "checkpoint_every", "keep", "log_every", "eval_every", "allow_unscreened"}

OnStep = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainResult:
    """Where the run is, how many steps are done, the last loss, and the signal that stopped it (or None)."""

    out_dir: Path
    steps: int
    loss: float | None
    stopped_by: int | None


def train(dataset_dir: Path, out_dir: Path, config: TrainConfig, *, on_step: OnStep | None = None) -> TrainResult:
    """Train to `config.steps`, going on from the newest checkpoint in `out_dir`; SIGTERM and SIGINT checkpoint first.

    Raises UnscreenedData without a valid receipt, SpecError when the folder belongs to another run or the data do
    not fit the config, RushesError when the loss is not finite (it names the clips), StorageError on the disk.
    """
    receipt = verify_receipt(dataset_dir, config.allow_unscreened)
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    if config.threads:
        torch.set_num_threads(config.threads)
    data = TrainingData(Dataset(Path(dataset_dir)), config)
    run = _run_json(out_dir, data, config, receipt)
    trainer = Trainer(data, config, run["precision"])
    done = trainer.resume(out_dir, run["run_key"])
    write_json(out_dir / "run.json", run)
    for log in ("log.jsonl", "eval.jsonl"):
        _truncate_log(out_dir / log, done)
    with _Signals() as signals:
        loss = trainer.run(out_dir, done, run["run_key"], signals, on_step)
    if signals.caught is None:
        export_model(out_dir, trainer.averaged())
    return TrainResult(out_dir, trainer.done, loss, signals.caught)


def _run_json(out_dir: Path, data: TrainingData, config: TrainConfig, receipt: dict[str, Any]) -> dict[str, Any]:
    """Collect what sampling needs; a precision that `auto` chose before is kept, so that a resume is bitwise."""
    settings = config.model_dump(mode="json")
    run_key = fingerprint([{k: v for k, v in settings.items() if k not in _SCHEDULING}, receipt["digest"]])
    precision = config.precision if config.precision != "auto" else faster_precision()
    path = out_dir / "run.json"
    if path.is_file():
        before = json.loads(path.read_bytes())
        if before["run_key"] == run_key:
            precision = before["precision"]
    columns = data.dataset.columns
    sizes = Counter(zip(columns["width"], columns["height"], columns["num_frames"], columns["fps"], strict=True))
    width, height, num_frames, fps = max(sizes, key=lambda size: (sizes[size], size))
    categories = receipt.get("categories", {})
    return {
        "run_key": run_key, "config": settings, "precision": precision, "receipt_digest": receipt["digest"],
        "unscreened": [c for c in ("explicit", "violence", "hate") if categories.get(c, "unscreened") in ("unscreened", [])],
        "codec": data.dataset.card["codec"], "text_encoder": data.dataset.card["text_encoder"],
        "latent_mean": data.normaliser.mean_C.tolist(), "latent_scale": data.normaliser.scale_C.tolist(),
        "clips": len(data.rows), "held_out": len(data.held_out), "uncaptioned": data.uncaptioned,
        "default_size": {"width": width, "height": height, "num_frames": num_frames, "fps": fps},
    }  # fmt: skip


class Trainer:
    """Model, averaged weights and optimizer of one run on one process."""

    def __init__(self, data: TrainingData, config: TrainConfig, precision: str) -> None:
        self.data, self.config, self.precision = data, config, precision
        self.model = build_model(data, config)
        self.names = [name for name, _ in self.model.named_parameters()]
        self.params = list(self.model.parameters())
        self.ema = [param.detach().clone() for param in self.params]
        # Norms, biases and tables are scales, not maps: decaying them to zero would only fight the data.
        groups = [
            {"params": [p for p in self.params if p.ndim > 1 and p.shape[0] > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in self.params if p.ndim <= 1 or p.shape[0] == 1], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=_BETAS, fused=True)
        numbers = {id(param): name for name, param in zip(self.names, self.params, strict=True)}
        self.optimizer_names = [numbers[id(p)] for group in self.optimizer.param_groups for p in group["params"]]
        self.done = 0

    def resume(self, out_dir: Path, run_key: str) -> int:
        """Load the newest checkpoint, if any; return the number of steps done."""
        found = load_newest(out_dir, run_key)
        if found is None:
            return 0
        self.done, parts = found
        self.model.load_state_dict(parts["weights"], strict=True)
        for name, average in zip(self.names, self.ema, strict=True):
            average.copy_(parts["ema"][name])
        restore_optimizer(self.optimizer, self.optimizer_names, parts["optimizer"])
        return self.done

    def save(self, out_dir: Path, run_key: str) -> None:
        """Write a checkpoint of the steps done."""
        parts = {
            "weights": self.model.state_dict(),
            "ema": dict(zip(self.names, self.ema, strict=True)),
            "optimizer": optimizer_tensors(self.optimizer, self.optimizer_names),
        }
        save_checkpoint(out_dir, self.done, run_key, parts, self.config.keep)

    def run(
        self, out_dir: Path, done: int, run_key: str, signals: _Signals, on_step: OnStep | None
    ) -> float | None:
        """Take the steps that are left, with log, validation and checkpoints; return the last loss."""
        config, loss = self.config, None
        for step in range(done, config.steps):
            start = time.perf_counter()
            record = self.step(step)
            record["seconds"] = round(time.perf_counter() - start, 4)
            self.done, loss = step + 1, record["loss"]
            last = self.done == config.steps
            if self.done % config.log_every == 0 or last:
                _append(out_dir / "log.jsonl", record)
            if config.eval_every and self.data.held_out and (self.done % config.eval_every == 0 or last):
                _append(out_dir / "eval.jsonl", {"step": self.done, **self.evaluate()})
            if on_step is not None:
                on_step(record)
            stopping = signals.caught is not None and not last
            if self.done % config.checkpoint_every == 0 or last or stopping:
                self.save(out_dir, run_key)
            if stopping:
                break
        return loss

    def step(self, step: int) -> dict[str, Any]:
        """Take one step (counted from 0); return its log record. Raises RushesError when the loss is not finite."""
        groups = self.data.step(step)
        rate = learning_rate(self.config, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        numbers = sum(float(((~g.known_BT) * g.weight_B[:, None]).sum()) * g.clean_BCTHW[0, :, 0].numel() for g in groups)
        total = 0.0
        for group in groups:
            squares, _ = self.group_loss(self.model, group)
            part = squares / max(numbers, 1.0)
            part.backward()
            total += float(part.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self.params, self.config.clip_norm))
        if not (math.isfinite(total) and math.isfinite(norm)):
            clips = [clip_id for group in groups for clip_id in group.clip_ids]
            raise RushesError(f"step {step + 1}: loss {total}, gradient {norm}; its clips: {', '.join(clips)}")
        self.optimizer.step()
        decay = min(self.config.ema, (1 + step) / (_EMA_RAMP + step))
        torch._foreach_lerp_(self.ema, [param.detach() for param in self.params], 1 - decay)
        tokens = sum(g.clean_BCTHW[:, 0].numel() for g in groups) // math.prod(self.config.dims.patch)
        return {"step": step + 1, "loss": total, "lr": rate, "grad_norm": norm, "tokens": tokens}

    def group_loss(self, model: Model, group: Group) -> tuple[Tensor, Tensor]:
        """Return the weighted squared error of a group, and the count of numbers it is over."""
        x_BCTHW = flow.noised(group.clean_BCTHW, group.noise_BCTHW, group.time_BT)
        wanted = flow.target(self.config.objective, group.clean_BCTHW, group.noise_BCTHW)
        patch_frames = self.config.dims.patch[0]
        timestep_BK = TIME_SCALE * group.time_BT[:, ::patch_frames]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.precision == "bf16"):
            prediction = model(x_BCTHW, timestep_BK, group.text_BSF, group.text_bias_BS)
        return flow.squared_error(prediction, wanted, group.known_BT, group.weight_B)

    @torch.no_grad()
    def evaluate(self) -> dict[str, Any]:
        """Validate the averaged weights on the held-out clips at fixed times with fixed noise."""
        model, data = self.averaged(), self.data
        curve = []
        for moment in GRID_TIMES:
            squares = numbers = 0.0
            for row in data.held_out:
                part, count = self.group_loss(model, data.group([row], [0], [moment]))
                squares, numbers = squares + float(part), numbers + float(count)
            curve.append(squares / max(numbers, 1.0))
        latents = [data.normaliser.forward(data.dataset.latent(row)) for row in data.held_out]
        floor = linear_floor(channel_eigenvalues(latents), np.array(GRID_TIMES))
        return {"loss": float(np.mean(curve)), "curve": curve, "linear_floor": float(floor.mean())}

    def averaged(self) -> Model:
        """Return a copy of the model with the averaged weights."""
        model = build_model(self.data, self.config)
        model.load_state_dict(dict(zip(self.names, self.ema, strict=True)), strict=True)
        return model.eval()


def build_model(data: TrainingData, config: TrainConfig) -> Model:
    """Return a freshly initialised model that fits the dataset; a pure function of the seed."""
    dims, card = config.dims, data.dataset.card
    channels = data.dataset.shape(data.rows[0])[0]
    features = int(data.dataset.text(_any_text(data)).shape[1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        # Weight-free text is refined; a pretrained encoder's needs none, whatever the preset says.
        layers = dims.refiner_layers if card["text_encoder"]["name"] == "hashed" else 0
        refiner = Refiner(features, dims.refiner_dim, layers)
        dit = WanDit(DitConfig(
            patch_size=dims.patch, num_attention_heads=dims.heads, attention_head_dim=dims.head_dim,
            in_channels=channels, out_channels=channels, text_dim=refiner.dim, ffn_dim=dims.ffn_dim,
            num_layers=dims.layers,
        ))  # fmt: skip
        initialise(dit)
    return Model(dit, refiner)


def _any_text(data: TrainingData) -> str:
    from trainer.provenance import EMPTY_TEXT_ID

    return EMPTY_TEXT_ID


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate of a step (from 0): linear warm-up, constant, linear to zero over the last `decay` share."""
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    falling = config.decay * config.steps
    fall = min(1.0, (config.steps - step) / falling) if falling else 1.0
    return config.lr * min(warm, fall)


class _Signals:
    """Notes SIGTERM and SIGINT while a run takes its steps; a second one has its usual effect."""

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.caught = number
        signal.signal(number, self._before[number])

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _append(path: Path, record: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def _truncate_log(path: Path, done: int) -> None:
    """Keep the lines of the steps that the checkpoint holds: what came after is taken again."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # the line that was being written when the process was killed
        if record["step"] <= done:
            kept.append(line + "\n")
    work = path.with_name(f".{path.name}.tmp")
    work.write_text("".join(kept), encoding="utf-8")
    work.replace(path)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit code (143 and 130 after SIGTERM and SIGINT)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, help="JSON of a TrainConfig")
    args = parser.parse_args(argv)
    try:
        values = json.loads(args.config.read_bytes()) if args.config else {}
        result = train(args.dataset, args.out, TrainConfig.model_validate(values))
    except RushesError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (OSError, ValueError) as error:
        print(f"error: {args.config}: {error}", file=sys.stderr)
        return SpecError.exit_code
    print(json.dumps({"steps": result.steps, "loss": result.loss, "out": str(result.out_dir)}))
    return 0 if result.stopped_by is None else 128 + result.stopped_by


if __name__ == "__main__":
    sys.exit(main())
