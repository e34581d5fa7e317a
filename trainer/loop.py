"""A rank's training: the model, its averaged weights, the optimizer, and what a step and a validation do.

Every rank has the whole model. The gradients of its packs are over the numbers of all ranks, and are added up: the step
is that of one process, but for the order of the sums.

Legend: B clips, C channels, T latent frames, H, W; K times of a clip; S words, F features.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from curate.errors import RushesError
from trainer import flow
from trainer.checkpoint import Model, load_newest, save_checkpoint
from trainer.config import CaptionKind, TrainConfig
from trainer.data import Group, TrainingData
from trainer.dit import TIME_SCALE, DitConfig, WanDit, initialise
from trainer.flops import measured_peak, step_flops
from trainer.grid import CHANNELS
from trainer.imported import load_wan
from trainer.optimizers import make_optimizers, optimizer_tensors, restore_optimizers
from trainer.provenance import EMPTY_TEXT_ID
from trainer.ranks import Ranks
from trainer.refiner import Refiner
from trainer.validation import Validation

# Early averages would remember the random start: the decay grows as (1 + step) / (10 + step) up to `ema`, the usual
# ramp. Chosen, not ablated.
_EMA_RAMP = 10
# Most rows of the matmul whose rate is taken for the machine's: more are no faster.
_PEAK_ROWS = 4096
_CAPTIONS = (*get_args(CaptionKind), "empty")
_ALONE = Ranks()


class Trainer:
    """Model, averaged weights and optimizer of one run on one rank."""

    def __init__(self, data: TrainingData, config: TrainConfig, precision: str, ranks: Ranks = _ALONE) -> None:
        self.data, self.config, self.precision, self.ranks = data, config, precision, ranks
        self.model = build_model(data, config).to(ranks.device)
        self.names = [name for name, _ in self.model.named_parameters()]
        self.params = list(self.model.parameters())
        ranks.copy_first(self.params)
        self.ema = [param.detach().clone() for param in self.params]
        named = dict(zip(self.names, self.params, strict=True))
        self.optimizers = make_optimizers(named, config, precision)
        self.validation = Validation(data)
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
        restore_optimizers(self.optimizers, parts["optimizer"])
        return self.done

    def save(self, out_dir: Path, run_key: str) -> None:
        """Write a checkpoint of the steps done."""
        parts = {
            "weights": self.model.state_dict(),
            "ema": dict(zip(self.names, self.ema, strict=True)),
            "optimizer": optimizer_tensors(self.optimizers),
        }
        save_checkpoint(out_dir, self.done, run_key, parts, self.config.keep)

    def step(self, step: int, groups: list[Group] | None = None) -> dict[str, Any]:
        """Take one step (counted from 0), of groups that are made now unless given; return its log record.

        All ranks take it together. Raises RushesError on each of them when the loss is not finite.
        """
        groups = self.made(step) if groups is None else groups
        rate = learning_rate(self.config, step)
        for optimizer in self.optimizers.values():
            optimizer.set_rate(rate)
        total, norm = self.gradients(step, groups)
        for optimizer in self.optimizers.values():
            optimizer.step()
        decay = min(self.config.ema, (1 + step) / (_EMA_RAMP + step))
        for average, param in zip(self.ema, self.params, strict=True):
            average.lerp_(param.detach(), 1 - decay)
        return {"step": step + 1, "loss": total, "lr": rate, "grad_norm": norm, **self.counts(step, groups)}

    def made(self, step: int) -> list[Group]:
        """Return this rank's groups of a step."""
        return self.data.step(step, self.ranks.rank, self.ranks.world)

    def gradients(self, step: int, groups: list[Group]) -> tuple[float, float]:
        """Leave the step's clipped gradients at the parameters, the same on every rank; return its loss and their norm.

        Raises RushesError that names the clips when they are not finite: those of the ranks that were the first to
        see it, or all.
        """
        numbers = self.ranks.total([sum(target_numbers(group) for group in groups)])[0]
        own = 0.0
        for group in groups:
            squares, _ = self.group_loss(self.model, group)
            part = squares / max(numbers, 1.0)
            part.backward()
            own += float(part.detach())
        losses = [loss for (loss,) in self.ranks.gather([own])]
        self.ranks.sum_gradients(self.params)
        total, norm = sum(losses), float(torch.nn.utils.clip_grad_norm_(self.params, self.config.clip_norm))
        if not (math.isfinite(total) and math.isfinite(norm)):
            packs, world = self.data.packs(step), self.ranks.world
            ill = [rank for rank, loss in enumerate(losses) if not math.isfinite(loss)] or range(world)
            clips = [self.data.dataset.clip_ids[row] for rank in ill for pack in packs[rank::world] for row, _ in pack]
            raise RushesError(f"step {step + 1}: loss {total}, gradient {norm}; its clips: {', '.join(clips)}")
        return total, norm

    def counts(self, step: int, groups: list[Group]) -> dict[str, Any]:
        """Return what a step's log record counts, over all ranks."""
        kinds = Counter(kind for group in groups for kind in group.captions)
        tokens, flops, fell_back, *captions = map(int, self.ranks.total([
            sum(g.clean_BCTHW[:, 0].numel() for g in groups) // math.prod(self.config.dims.patch),
            sum(self.group_flops(group) for group in groups),
            sum(fell for group in groups for fell in group.fell_back),
            *(kinds[kind] for kind in _CAPTIONS),
        ]))  # fmt: skip
        return {
            "tokens": tokens, "flops": flops, "fell_back": fell_back,
            "captions": {kind: count for kind, count in sorted(zip(_CAPTIONS, captions, strict=True)) if count},
            **{name: round(share, 5) for name, share in self.data.balance(step).items()},
        }  # fmt: skip

    def group_flops(self, group: Group) -> int:
        """Return the operations of a group's forward and backward pass (flops.py)."""
        clips, _, frames, height, width = group.clean_BCTHW.shape
        _, patch_height, patch_width = self.config.dims.patch
        grid = frames, height // patch_height, width // patch_width
        times = flow.token_times(group.time_BT)[0].shape[1]
        return step_flops(self.model, clips, grid, group.text_BSF.shape[1], times)

    def peak_flops(self) -> float:
        """Return the operations a second that `mfu` is a share of: the config's, or its MLP's matmul measured here."""
        if self.config.peak_tflops is not None:
            return self.config.peak_tflops * 1e12
        dims, data = self.config.dims, self.data
        tokens = self.config.tokens_per_pack or (self.config.batch or 1) * data.tokens[data.rows[0]]
        return measured_peak(min(tokens, _PEAK_ROWS), dims.dim, dims.ffn_dim, self.precision, self.ranks.device)

    def group_loss(self, model: Model, group: Group) -> tuple[Tensor, Tensor]:
        """Return the weighted squared error of a group, and the count of numbers it is over."""
        group = group.to(self.ranks.device)
        x_BCTHW = flow.noised(group.clean_BCTHW, group.noise_BCTHW, group.time_BT)
        time_BK, *index = (part for part in flow.token_times(group.time_BT) if part is not None)
        with torch.autocast(self.ranks.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            prediction = model(x_BCTHW, TIME_SCALE * time_BK, group.text_BSF, group.text_bias_BS, *index)
        error = flow.velocity_error(
            self.config.objective, prediction, group.clean_BCTHW, group.noise_BCTHW, group.time_BT
        )
        return flow.squared_error(error, group.known_BT, group.weight_B)

    def evaluate(self) -> dict[str, Any]:
        """Validate the averaged weights on the held-out clips (validation.py); every rank takes its share."""
        with self.averaged_weights() as model:
            return self.validation.run(model, self.group_loss, self.ranks)

    @contextmanager
    def averaged_weights(self) -> Iterator[Model]:
        """Lend the model with the averaged weights in its parameters; at the end its own are back, bitwise.

        In place, one tensor at a time, so that a sharded model, which cannot be copied, does it too: each rank swaps
        its own part. Meanwhile `ema` holds the model's own weights: nothing may be saved.
        """
        self._swap_averages()
        self.model.eval()
        try:
            yield self.model
        finally:
            self._swap_averages()
            self.model.train()

    @torch.no_grad()
    def _swap_averages(self) -> None:
        for module in self.model.modules():
            if isinstance(module, FSDPModule):  # what it has gathered for the last pass is of the other weights
                module.reshard()
        for param, average in zip(self.params, self.ema, strict=True):
            own = param.detach().clone()
            param.copy_(average)
            average.copy_(own)

    def averaged(self) -> Model:
        """Return a copy of the model with the averaged weights."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(dict(zip(self.names, self.ema, strict=True)), strict=True)
        return model.eval()


def build_model(data: TrainingData, config: TrainConfig) -> Model:
    """Return a model that fits the dataset: freshly initialised, a pure function of the seed, or Wan's of `init`."""
    dims = config.dims
    channels = data.dataset.shape(data.rows[0])[0]
    features = int(data.dataset.text(EMPTY_TEXT_ID).shape[1])
    if config.init is not None:
        return Model(load_wan(Path(config.init), dims, channels, features), Refiner(features, features, 0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        # Weight-free text is refined; a pretrained encoder's needs none, whatever the preset says.
        layers = dims.refiner_layers if data.dataset.text_encoder["name"] == "hashed" else 0
        refiner = Refiner(features, dims.refiner_dim, layers)
        dit = WanDit(DitConfig(
            patch_size=dims.patch, num_attention_heads=dims.heads, attention_head_dim=dims.head_dim,
            in_channels=channels + (CHANNELS if dims.coordinates else 0), out_channels=channels,
            text_dim=refiner.dim, ffn_dim=dims.ffn_dim, num_layers=dims.layers, text_pad_to=config.padded_to,
        ))  # fmt: skip
        initialise(dit)
    return Model(dit, refiner)


def target_numbers(group: Group) -> float:
    """Return the weighted count of numbers that a group is to predict."""
    known = group.known_BT
    parts = float(((~known) * group.weight_B.view(-1, *[1] * (known.ndim - 1))).sum())
    return parts * (group.clean_BCTHW[0].numel() // known[0].numel())


def learning_rate(config: TrainConfig, step: int) -> float:
    """Return the rate of a step (from 0): a linear warm-up, and then as `schedule` says.

    wsd: constant, linear to zero over the last `decay` share. cosine: half a cosine from the warm-up's end to zero at
    `steps`. constant: as it is. No step of a run has the rate zero.
    """
    warm = min(1.0, (step + 1) / config.warmup) if config.warmup else 1.0
    return config.lr * min(warm, _fall(config, step))


def _fall(config: TrainConfig, step: int) -> float:
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "cosine":
        share = max(0, step - config.warmup) / max(1, config.steps - config.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    falling = config.decay * config.steps
    return min(1.0, (config.steps - step) / falling) if falling else 1.0
