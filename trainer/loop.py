"""A rank's training: the model, its averaged weights, the optimizer, and what a step and a validation do.

Every rank has the whole model, or a share of it (sharding.py). The gradients of its packs are over the numbers of all
ranks, and are added up: the step is that of one process, but for the order of the sums.

A pack is a pass of the model where it must be, as sharded ranks take equally many, or where it is fastest, on CUDA; on
CPU its groups are (losses.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from curate.errors import RushesError
from trainer import flow
from trainer.checkpoint import Checkpoints
from trainer.config import CaptionKind, TrainConfig
from trainer.data import Group, TrainingData
from trainer.dit import DitConfig, WanDit, initialise
from trainer.drawn import digest, word_sums
from trainer.flops import measured_peak, step_flops
from trainer.grid import CHANNELS
from trainer.imported import load_wan
from trainer.losses import group_loss, pack_loss
from trainer.model import Model
from trainer.optimizers import blank_states, make_optimizers, optimizer_tensors, restore_optimizers
from trainer.provenance import EMPTY_TEXT_ID
from trainer.ranks import Ranks
from trainer.refiner import Refiner
from trainer.sharding import clip_gradients, like, local, placed, put, replicas, sizes, swapped, whole
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
        self.sharded = config.sharding == "full" and ranks.world > 1
        full = build_model(data, config) if ranks.first else None
        self.model = placed(full, ranks, precision, sharded=self.sharded)
        del full
        self.model.dit.recompute = config.activation_checkpointing == "full"
        if config.compile:
            for block in self.model.dit.blocks:
                block.compile(dynamic=True)  # in place: names stay
        self.packed = self.sharded or ranks.device.type == "cuda"
        self.names = [name for name, _ in self.model.named_parameters()]
        self.params = list(self.model.parameters())
        self.ema = [param.detach().clone() for param in self.params]
        named = dict(zip(self.names, self.params, strict=True))
        self.optimizers = make_optimizers(named, config, precision)
        self.validation = Validation(data)
        self.done = 0

    def resume(self, checkpoints: Checkpoints) -> int:
        """Load the newest checkpoint, if any; return the number of steps done. All ranks together."""
        saved = checkpoints.newest()
        if saved is not None:
            states = blank_states(self.optimizers, saved.names("optimizer"))
            checkpoints.load(saved, self._parts(states))
            restore_optimizers(self.optimizers, states)
            self.done = saved.step
        return self.done

    def save(self, checkpoints: Checkpoints) -> None:
        """Begin to write a checkpoint of the steps done. All ranks together."""
        checkpoints.save(self.done, self._parts(optimizer_tensors(self.optimizers)))

    def _parts(self, states: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
        weights, averages = (dict(zip(self.names, tensors, strict=True)) for tensors in (self.params, self.ema))
        return {"weights": weights, "ema": averages, "optimizer": states}

    def step(self, step: int, groups: list[Group] | None = None) -> dict[str, Any]:
        """Take one step (counted from 0), of groups that are made now unless given; return its log record.

        All ranks take it together. Raises RushesError on each of them when the loss is not finite.
        """
        groups = self.made(step) if groups is None else groups
        rate = learning_rate(self.config, step)
        for optimizer in self.optimizers.values():
            optimizer.set_rate(rate)
        with self.ranks.computing():
            total, norm = self.gradients(step, groups)
            for optimizer in self.optimizers.values():
                optimizer.step()
        decay = min(self.config.ema, (1 + step) / (_EMA_RAMP + step))
        for average, param in zip(self.ema, self.params, strict=True):
            local(average).lerp_(local(param.detach()), 1 - decay)
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
        for squares in self._passes(groups):
            part = squares / max(numbers, 1.0)
            part.backward()
            own += float(part.detach())
        losses = [loss for (loss,) in self.ranks.gather([own])]
        self.ranks.sum_gradients(replicas(self.params))  # those of shards are added up as the backward pass goes
        total, norm = sum(losses), clip_gradients(self.params, self.config.clip_norm)
        if not (math.isfinite(total) and math.isfinite(norm)):
            packs, world = self.data.packs(step), self.ranks.world
            ill = [rank for rank, loss in enumerate(losses) if not math.isfinite(loss)] or range(world)
            clips = [self.data.dataset.clip_ids[row] for rank in ill for pack in packs[rank::world] for row, _ in pack]
            raise RushesError(f"step {step + 1}: loss {total}, gradient {norm}; its clips: {', '.join(clips)}")
        return total, norm

    def _passes(self, groups: list[Group]) -> Iterator[Tensor]:
        """Yield the weighted squared errors of each forward pass; a backward pass is to be taken between two."""
        if not self.packed:
            for group in groups:
                yield self.group_loss(self.model, group)[0]
            return
        for place in range(self.config.packs_per_step // self.ranks.world):
            pack = [group for group in groups if group.pack == place]
            yield pack_loss(self.model, pack, self.config.objective, self.precision, self.ranks.device)

    def counts(self, step: int, groups: list[Group]) -> dict[str, Any]:
        """Return what a step's log record counts, over all ranks."""
        kinds = Counter(kind for group in groups for kind in group.captions)
        tokens, flops, fell_back, *rest = map(int, self.ranks.total([
            sum(g.clean_BCTHW[:, 0].numel() for g in groups) // math.prod(self.config.dims.patch),
            sum(self.group_flops(group) for group in groups),
            sum(fell for group in groups for fell in group.fell_back),
            *(kinds[kind] for kind in _CAPTIONS), *word_sums(groups),
        ]))  # fmt: skip
        return {
            "tokens": tokens, "flops": flops, "fell_back": fell_back,
            "captions": {kind: count for kind, count in sorted(zip(_CAPTIONS, rest, strict=False)) if count},
            "drawn": digest(rest[len(_CAPTIONS) :]),
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
        return group_loss(model, group.to(self.ranks.device), self.config.objective, self.precision)

    def evaluate(self) -> dict[str, Any]:
        """Validate the averaged weights on the held-out clips (validation.py); every rank takes its share."""
        with self.averaged_weights() as model:
            return self.validation.run(model, self.group_loss, self.ranks)

    @contextmanager
    def averaged_weights(self) -> Iterator[Model]:
        """Lend the model with the averaged weights in place of its own, which `ema` holds: nothing may be saved.

        Raises StageCrashed when another rank ends meanwhile: the passes of a sharded model are all ranks'.
        """
        with self.ranks.computing(), swapped(self.model, self.params, self.ema) as model:
            yield model

    def full_average(self) -> Model | None:
        """Return a whole model with the averaged weights, on CPU, on the first rank; all must ask together."""
        model = like(sizes(self.model)).eval() if self.ranks.first else None
        into = dict(model.named_parameters()) if model else {}
        for name, average in zip(self.names, self.ema, strict=True):
            with self.ranks.computing():
                value = whole(average)
            if model:
                put(into[name], value)
        return model


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
