"""Validation: the loss of the averaged weights on a fixed grid of the held-out clips, as a whole and by split.

A look is one forward pass of one clip: at a time, with its noise (that of epoch 0), a task's mask and a text. Looks are
the same in every validation of a run, for any number of ranks. A clip has at most

    8 (the grid of times, as text to video, with its likeliest text)
    + 2 (the times of a split) x (the run's other tasks + its other kinds of caption, the empty text among them)

of them. Time and tier are split over the first eight; tasks, and captions, over the same clips at the same two times,
so that what differs is the task or the caption; a clip that is too short for a task, or lacks a kind, is not in its
part. Beside each loss stands what no model enters: the loss of predicting zero, and what linear denoisers reach
(floors.py).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainer import flow
from trainer.conditioning import draw_known, fits, stack, where_unknown
from trainer.data import Group, TrainingData, pad_text
from trainer.draws import generator
from trainer.floors import Floors
from trainer.metrics import GRID_TIMES
from trainer.provenance import EMPTY_TEXT_ID
from trainer.ranks import Ranks
from trainer.schedule import stages_of

# Bands of the grid's times, from clean to noise.
BANDS = 4
# Where tasks and captions are compared: mirrored about 1/2, as the grid is.
SPLIT_TIMES = (GRID_TIMES[2], GRID_TIMES[5])
EMPTY = "empty"

GroupLoss = Callable[[Any, Group], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Look:
    """One forward pass: a clip (by row) at a time, as a task, with a text of a kind ("empty" without)."""

    row: int
    time: float
    task: str
    caption: str
    text_id: str
    grid: bool  # of the eight that the loss as a whole is over


@dataclass(frozen=True)
class Found:
    """What a look found: squared errors of the model and of zero, over so many numbers, all weighted."""

    look: Look
    squares: float
    zero: float
    numbers: float


class Validation:
    """The looks of a run, and what they come to."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data
        weighed = [of_task for stage in stages_of(data.config) for of_task in (stage.tasks or {}).items()]
        self.tasks = sorted({str(task) for task, weight in weighed if weight > 0})
        looks = [look for row in data.held_out for look in self._looks(row)]
        # Ranks take them round robin, so that at one time all have clips of about one size.
        self.looks = sorted(looks, key=lambda look: data.tokens[look.row])
        self.floors = Floors(data)

    def _looks(self, row: int) -> list[Look]:
        texts = self.data.texts(row)
        likeliest = max(texts, key=lambda kind: self.data.config.captions[kind]) if texts else EMPTY
        kinds = {**{str(kind): text_id for kind, text_id in texts.items()}, EMPTY: EMPTY_TEXT_ID}
        if texts and not self.data.config.text_dropout:
            del kinds[EMPTY]
        shape, patch = self.data.dataset.shape(row), self.data.config.dims.patch
        tokens_hw = shape[2] // patch[1], shape[3] // patch[2]
        tasks = [task for task in self.tasks if task != "t2v" and fits(task, shape[1], tokens_hw)]
        grid = [Look(row, time, "t2v", likeliest, kinds[likeliest], True) for time in GRID_TIMES]
        of_tasks = [Look(row, time, task, likeliest, kinds[likeliest], False) for task in tasks for time in SPLIT_TIMES]
        others = [(kind, text_id) for kind, text_id in kinds.items() if kind != likeliest]
        return grid + of_tasks + [Look(row, t, "t2v", kind, text, False) for kind, text in others for t in SPLIT_TIMES]

    def forwards(self, world: int = 1) -> int:
        """Return the forward passes of a validation on each of so many ranks."""
        return math.ceil(len(self.looks) / world)

    def group(self, look: Look) -> Group:
        """Return the tensors of a look. A task's mask is one draw, keyed by the seed, the clip and the task."""
        data = self.data
        group, shape = data.group([look.row], [0], [look.time]), data.dataset.shape(look.row)
        _, rows, columns = data.config.dims.patch
        rng = generator(data.config.seed, "validation", data.dataset.clip_ids[look.row], look.task)
        known = draw_known(rng, {look.task: 1.0}, shape[1], (shape[2] // rows, shape[3] // columns))
        times = where_unknown(np.full(shape[1], look.time), known)
        text, bias = pad_text([data.dataset.text(look.text_id)])
        return replace(
            group, captions=[look.caption], text_BSF=text, text_bias_BS=bias, known_BT=torch.from_numpy(stack([known])),
            time_BT=torch.from_numpy(stack([times]).astype(np.float32)),
        )  # fmt: skip

    @torch.no_grad()
    def run(self, model: nn.Module, group_loss: GroupLoss, ranks: Ranks) -> dict[str, Any]:
        """Take the looks, shared out over the ranks, and return an evaluation's record (without its step).

        Every rank makes as many forward passes, as a sharded model needs: one that runs out repeats the last look, and
        that counts for nothing. The record is the same to the last bit for any number of ranks.
        """
        count = self.forwards(ranks.world)
        own = self.looks[ranks.rank :: ranks.world]
        values: list[float] = []
        for look in [*own, *self.looks[-1:] * (count - len(own))]:
            group = self.group(look).to(ranks.device)
            squares, numbers = group_loss(model, group)
            zero = flow.velocity_error(
                self.data.config.objective, torch.zeros_like(group.clean_BCTHW), group.clean_BCTHW, group.noise_BCTHW,
                group.time_BT,
            )  # fmt: skip
            zero_squares, _ = flow.squared_error(zero, group.known_BT, group.weight_B)
            values += [float(squares), float(zero_squares), float(numbers)]
        of_ranks = ranks.gather(values)
        found = []
        for place, look in enumerate(self.looks):
            turn, rank = divmod(place, ranks.world)
            found.append(Found(look, *of_ranks[rank][3 * turn : 3 * turn + 3]))
        return self.record(found)

    def record(self, found: list[Found]) -> dict[str, Any]:
        """Return the record of what was found: loss, curve (by time) and splits, with what they are held against."""
        grid = [one for one in found if one.look.grid]
        pairs = [one for one in found if one.look.time in SPLIT_TIMES]
        likeliest = {one.look.row: one.look.caption for one in grid}
        as_usual = [one for one in pairs if one.look.caption == likeliest[one.look.row]]
        curve = [_mean([one for one in grid if one.look.time == time])["loss"] for time in GRID_TIMES]
        splits = {
            "time": self._split(grid, lambda look: band(look.time)),
            "tier": self._split(grid, lambda look: str(self.tier(look.row))),
            "task": self._split(as_usual, lambda look: look.task),
            "caption": self._split([one for one in pairs if one.look.task == "t2v"], lambda look: look.caption),
        }
        whole = self._compared(grid)
        return {**whole, "curve": curve, "forwards": len(found), "splits": splits}

    def tier(self, row: int) -> int:
        """Return a clip's shorter side in pixels."""
        columns = self.data.dataset.columns
        return min(int(columns["width"][row]), int(columns["height"][row]))

    def _split(self, found: list[Found], name: Callable[[Look], str]) -> dict[str, dict[str, float]]:
        parts: dict[str, list[Found]] = defaultdict(list)
        for one in found:
            parts[name(one.look)].append(one)
        return {key: self._compared(parts[key]) for key in sorted(parts, key=_in_order)}

    def _compared(self, found: list[Found]) -> dict[str, float]:
        """Return a part's loss, what it is held against, and the count of its clips."""
        rows = sorted({one.look.row for one in found})
        channel = self.floors.channel(rows)
        floors = {"channel_floor": _weighted((channel[one.look.time], one.numbers) for one in found)}
        if all(one.look.task == "t2v" for one in found):  # what is known would say more about the rest
            of_shape = ((self.floors.linear(one.look.row)[one.look.time], one.numbers) for one in found)
            floors["linear_floor"] = _weighted(of_shape)
        return {**_mean(found), **floors, "clips": len(rows)}


def band(time: float) -> str:
    """Return the name of a time's band: `0.25-0.5`."""
    place = min(int(time * BANDS), BANDS - 1)
    return f"{place / BANDS:g}-{(place + 1) / BANDS:g}"


def _mean(found: list[Found]) -> dict[str, float]:
    """Return the mean squared error of the model, and of zero."""
    numbers = math.fsum(one.numbers for one in found) or 1.0
    squares, zero = math.fsum(one.squares for one in found), math.fsum(one.zero for one in found)
    return {"loss": squares / numbers, "predict_zero": zero / numbers}


def _weighted(pairs: Iterable[tuple[float, float]]) -> float:
    """Return the mean of values by their weights, 0 where they all weigh nothing."""
    listed = list(pairs)
    return math.fsum(value * weight for value, weight in listed) / (math.fsum(weight for _, weight in listed) or 1.0)


def _in_order(name: str) -> tuple[float, str]:
    """Tiers by size, everything else by name."""
    return (float(name), name) if name.isdigit() else (0.0, name)
