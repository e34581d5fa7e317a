"""Which clips each step sees, in which packs: pure functions of (seed, step), the same for any number of ranks.

The spec's stages follow each other; each counts its steps and epochs from 0. An epoch visits every clip as often as its
weight says. By tokens, an epoch is packed as a whole, into a number of packs that is the same for every epoch. Epochs
are laid end to end, as packs or (`batch`) as clips, and a step is a window of them: the step in which an epoch ends
takes the rest from the next one, and a stage ends where its steps do, within an epoch or not.
Legend: N clips, V visits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from trainer.config import StageConfig, TrainConfig
from trainer.draws import envelope, epoch_order, generator, turn, visits, visits_of
from trainer.packing import WINDOW_PACKS, Packer, cost, place

Made = TypeVar("Made")
_KEPT_EPOCHS = 2  # packed, in memory: a step of the next one is prepared while the last of this one is taken


@dataclass(frozen=True)
class Clips:
    """Of all clips of a dataset, by id: tokens and bytes (N,), and for each stage the expected visits an epoch (N,)."""

    tokens_N: np.ndarray
    bytes_N: np.ndarray
    weights: list[np.ndarray]


Pack = list[tuple[int, int]]  # (clip, turn): what is drawn for a clip is keyed by its id and its turn


class Schedule:
    """The packs of every step. A clip is given by its place in `Clips`."""

    def __init__(self, config: TrainConfig, clips: Clips) -> None:
        self.config, self.clips = config, clips
        # Bytes that are shuffled at one time, and as many that are packed together: those lie in two windows of the
        # shuffle, and steps are prepared ahead.
        self._shuffled = config.cache_mib << 18
        self.stages = stages_of(config)
        self._starts = np.cumsum([0, *(stage.steps for stage in self.stages)]).tolist()
        self._packers = [self._packer(weights) for weights in clips.weights]
        self._orders: _Recent[tuple[np.ndarray, np.ndarray]] = _Recent()
        self._packed: _Recent[list[np.ndarray]] = _Recent()

    def _packer(self, weights: np.ndarray) -> Packer | None:
        config = self.config
        if config.tokens_per_pack is None:
            return None
        sizes = envelope(weights, np.where(weights > 0, self.clips.tokens_N, 0))
        # What is packed together is read together, and must fit into the memory for it.
        of_pack = config.tokens_per_pack * self.clips.bytes_N.max() / self.clips.tokens_N[self.clips.bytes_N.argmax()]
        window = min(WINDOW_PACKS, max(config.packs_per_step, int(self._shuffled / of_pack)))
        return Packer(sizes, config.dims, config.packs_per_step, config.tokens_per_pack, window)

    def packs(self, step: int) -> list[Pack]:
        """Return the packs of a step (from 0); past the last stage's end it goes on. Some may be empty."""
        stage = min(int(np.searchsorted(self._starts, step, side="right")) - 1, len(self.stages) - 1)
        local = step - self._starts[stage]
        packer = self._packers[stage]
        if packer is None:
            return self._window(stage, local)
        each = self.config.packs_per_step
        return [self._pack(stage, *divmod(at, packer.packs)) for at in range(local * each, (local + 1) * each)]

    def _pack(self, stage: int, epoch: int, at: int) -> Pack:
        clips, turns = self._order(stage, epoch)

        def pack() -> list[np.ndarray]:
            packer = self._packers[stage]
            assert packer is not None
            rng = generator(self.config.seed, "packs", turn(stage, epoch))
            tokens = np.where(clips < 0, 0, self.clips.tokens_N[clips])
            return packer.epoch(tokens, rng, -epoch * packer.packs % packer.per_step)

        packs = self._packed.get((stage, epoch), pack)
        return [(int(clips[v]), int(turns[v])) for v in packs[at] if clips[v] >= 0]

    def steps_of_epoch(self, stage: int = 0) -> float:
        """Return how many steps an epoch of a stage takes."""
        packer = self._packers[stage]
        if packer is not None:
            return packer.packs / packer.per_step
        return visits_of(self.clips.weights[stage]) / (self.config.batch or 1)

    def _order(self, stage: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the clips that an epoch visits in order, -1 for none, and their turns: (V,) each, int64."""
        seed, key = self.config.seed, turn(stage, epoch)
        weights, tokens_N = self.clips.weights[stage], self.clips.tokens_N

        def order() -> tuple[np.ndarray, np.ndarray]:
            found = visits(seed, key, weights, np.where(weights > 0, tokens_N, 0))
            again = np.arange(len(found)) - np.searchsorted(found, found)
            turns = np.array([turn(stage, epoch, count) for count in range(int(again.max(initial=0)) + 1)])[again]
            places = epoch_order(seed, key, found, self.clips.bytes_N, self._shuffled)
            return found[places], turns[places]

        return self._orders.get((stage, epoch), order)

    def _window(self, stage: int, local: int) -> list[Pack]:
        """Return a step of `batch` visits, shared out over its packs by cost."""
        batch, count = self.config.batch or 1, visits_of(self.clips.weights[stage])
        drawn: Pack = []
        for at in range(local * batch, (local + 1) * batch):
            epoch, offset = divmod(at, count)
            clips, turns = self._order(stage, epoch)
            if clips[offset] >= 0:
                drawn.append((int(clips[offset]), int(turns[offset])))
        if self.config.packs_per_step == 1:
            return [drawn]
        price = cost(self.clips.tokens_N[[clip for clip, _ in drawn]], self.config.dims)
        largest = np.argsort(-price, kind="stable")
        pack_of = np.empty(len(drawn), int)
        pack_of[largest] = place(price[largest], price[largest], self.config.packs_per_step, np.inf)
        return [[drawn[v] for v in np.flatnonzero(pack_of == p)] for p in range(self.config.packs_per_step)]


def stages_of(config: TrainConfig) -> list[StageConfig]:
    """Return the stages of a run with what they inherit filled in; a run without any is one stage."""
    given = config.stages or (StageConfig(steps=config.steps),)
    return [
        stage.model_copy(update={
            "tasks": config.tasks if stage.tasks is None else stage.tasks,
            "mixture": config.mixture if stage.mixture is None else stage.mixture,
        })
        for stage in given
    ]  # fmt: skip


class _Recent(Generic[Made]):
    """What was made last, by key. Safe for threads, of which two may make the same: it is pure."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, int], Made] = {}
        self._lock = threading.Lock()

    def get(self, key: tuple[int, int], make: Callable[[], Made]) -> Made:
        with self._lock:
            found = self._held.get(key)
        if found is None:
            found = make()
            with self._lock:
                self._held[key] = found
                while len(self._held) > _KEPT_EPOCHS:
                    self._held.pop(next(iter(self._held)))
        return found
