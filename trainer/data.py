"""A training step's tensors: which clips, which captions, what noise, as pure functions of (seed, step, clip id).

A step is a list of packs (schedule.py), which ranks take round robin; a pack is a list of groups, and a group holds the
clips of one latent shape, so any mix of sizes trains, uncropped.
Legend: B clips, C channels, T latent frames, H, W; S words (padded to the group's longest), F text features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curate.dataset.reader import Dataset
from curate.errors import SpecError
from trainer.conditioning import draw_known, stack, where_unknown
from trainer.config import CaptionKind, TrainConfig
from trainer.draws import generator, stage_of, weighted_choice
from trainer.flow import draw_times
from trainer.mixture import DRAWN, column_weights, is_synthetic, stage_weights
from trainer.normaliser import Normaliser
from trainer.packing import cost, imbalance
from trainer.provenance import EMPTY_TEXT_ID
from trainer.schedule import Clips, Pack, Schedule, stages_of


@dataclass(frozen=True)
class Group:
    """Clips of one shape. `time_BT` is 0 where `known_BT`; `text_bias_BS` is -inf at padding.

    Times and known are of tokens, (B, T, h, w), where a clip of the group is inpainted.

    `captions` are the kinds of the clips' captions, "empty" where there is none or it was dropped; `fell_back`
    where a kind was drawn that the clip does not have. `pack` is the group's, among those of its rank.
    """

    clip_ids: list[str]
    captions: list[str]
    fell_back: list[bool]
    clean_BCTHW: Tensor
    noise_BCTHW: Tensor
    time_BT: Tensor
    known_BT: Tensor
    weight_B: Tensor
    text_BSF: Tensor
    text_bias_BS: Tensor
    pack: int = 0

    def to(self, device: torch.device) -> Group:
        """Return the group with its tensors on a device."""
        tensors = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{k: v.to(device) for k, v in tensors.items() if isinstance(v, Tensor)})


@dataclass(frozen=True)
class Draw:
    """What chance decides about one clip in one epoch; `text_id` is the empty text's after dropout."""

    text_id: str
    caption: str
    fell_back: bool
    time_T: np.ndarray
    known_T: np.ndarray


class TrainingData:
    """The clips of a dataset that a run trains on, in order of their ids.

    `rows` are drawn in some stage, `held_out` are for validation, and `fates` says of every clip, by row, which of the
    two it is or why it is neither. Raises SpecError when nothing is left to train on, when the empty text is missing
    (dropout needs its true features), when a caption that has a weight was exported without its features, a text is
    longer than what all are padded to, or a loss_weight is none.
    """

    def __init__(self, dataset: Dataset, config: TrainConfig) -> None:
        self.dataset, self.config = dataset, config
        self.normaliser = Normaliser.from_card(dataset.card, config.whiten, imported=config.init is not None)
        if not dataset.has_text(EMPTY_TEXT_ID):
            raise SpecError(f"{dataset.path} lacks the features of the empty text: export it again")
        if 0 < config.padded_to < dataset.longest_text:
            raise SpecError(
                f"{dataset.path} has a text of {dataset.longest_text} tokens, and texts are padded to "
                f"{config.padded_to}: encode with `max_tokens: {config.padded_to}`, or pad to more"
            )
        self._by_id = sorted(range(len(dataset)), key=lambda row: dataset.clip_ids[row])
        self.tokens = {row: self._tokens(row) for row in self._by_id}
        self.fates = dict.fromkeys(self._by_id, DRAWN)
        most = config.tokens_per_pack
        too_large = [row for row in self._by_id if most is not None and self.tokens[row] > most]
        self.fates.update(dict.fromkeys(too_large, "too_large"))
        held = self._held_sources([row for row in self._by_id if self.fates[row] == DRAWN])
        sources = dataset.columns["source_id"]
        self.held_out = [row for row in self._by_id if sources[row] in held and self.fates[row] == DRAWN]
        self.fates.update(dict.fromkeys(self.held_out, "held_out"))
        if DRAWN not in self.fates.values():
            raise SpecError(
                f"{dataset.path} has {len(dataset)} clips, eval_clips is {config.eval_clips}, and {len(too_large)} are"
                f" larger than tokens_per_pack ({most}): none left"
            )
        self._stages = stages_of(config)
        self.schedule = Schedule(config, self._clips())
        self.rows = [row for row in self._by_id if self.fates[row] == DRAWN]
        self._loss_weights = column_weights(dataset.columns.get("loss_weight"), dataset.clip_ids, "loss_weight")
        if not self._loss_weights[self.rows].any():
            raise SpecError("every clip that is trained on has the loss_weight 0: nothing would be learned")
        self._captions = {row: self._caption_ids(row) for row in self.rows + self.held_out}
        if self.uncaptioned == len(self.rows):
            kinds = ", ".join(kind for kind, weight in config.captions.items() if weight > 0)
            raise SpecError(
                f"no clip has a caption ({kinds}), so the model would learn from no text at all:"
                " weigh the kinds that there are under `train: captions`"
            )

    def _tokens(self, row: int) -> int:
        shape, patch = self.dataset.shape(row), self.config.dims.patch
        if any(size % p for size, p in zip(shape[1:], patch, strict=True)):
            raise SpecError(
                f"clip {self.dataset.clip_ids[row]} has a latent of {shape[1:]}, which patches of {patch} do not fill:"
                " change `encode: latents` (frame sizes that are multiples) or `train: model: patch`"
            )
        return self.config.dims.tokens(shape)

    def _clips(self) -> Clips:
        """Weigh the clips, stage by stage, and note the fate of those that no stage draws."""
        named = ("width", "height", "source_class", "origin", "is_synthetic")
        columns = {name: [self.dataset.columns[name][row] for row in self._by_id]
                   for name in named if name in self.dataset.columns}  # fmt: skip
        ids = [self.dataset.clip_ids[row] for row in self._by_id]
        given = self.dataset.columns.get("weight")
        base = column_weights(None if given is None else [given[row] for row in self._by_id], ids)
        base[[self.fates[row] != DRAWN for row in self._by_id]] = 0.0
        made = [stage_weights(base, columns, stage, self.config.max_synthetic) for stage in self._stages]
        for place, row in enumerate(self._by_id):
            fates = [fates[place] for _, fates in made]
            if self.fates[row] == DRAWN and DRAWN not in fates:
                self.fates[row] = fates[0]
        tokens = np.array([self.tokens[row] for row in self._by_id])
        latents = np.array([2 * math.prod(self.dataset.shape(row)) for row in self._by_id])  # bytes, in bf16
        return Clips(tokens, latents, [weights for weights, _ in made])

    def clip_records(self) -> list[dict[str, Any]]:
        """Return a record for each clip of the dataset, by id: its fate, and its expected draws an epoch by stage."""
        weights = self.schedule.clips.weights
        return [
            {"clip_id": self.dataset.clip_ids[row], "fate": self.fates[row], "tokens": self.tokens[row],
             "draws_per_epoch": [round(float(of_stage[place]), 6) for of_stage in weights]}
            for place, row in enumerate(self._by_id)
        ]  # fmt: skip

    def _held_sources(self, rows: list[int]) -> set[str]:
        """Sources held out for validation, in a seeded order until they have `eval_clips` clips.

        Whole sources: the next seconds of a clip that is trained on would not be unseen. Where synthetic media are
        capped, validation is on real ones.
        """
        clips: dict[str, int] = {}
        for row in rows:
            source = self.dataset.columns["source_id"][row]
            clips[source] = clips.get(source, 0) + 1
        synthetic = self.dataset.columns.get("is_synthetic")
        if synthetic is not None and self.config.max_synthetic < 1:
            for row in rows:
                if is_synthetic(synthetic[row]):
                    clips.pop(self.dataset.columns["source_id"][row], None)
        names, held, count = sorted(clips), set(), 0
        for place in generator(self.config.seed, "held_out").permutation(len(names)):
            if count >= self.config.eval_clips:
                break
            held.add(names[place])
            count += clips[names[place]]
        return held

    @property
    def uncaptioned(self) -> int:
        """Clips that have no caption of any kind that has a weight; they train on the empty text."""
        return sum(1 for row in self.rows if not self._captions[row])

    def _caption_ids(self, row: int) -> dict[CaptionKind, str]:
        found: dict[CaptionKind, str] = {}
        for kind, weight in self.config.captions.items():
            column = self.dataset.columns.get(f"caption_{kind}_text_id")
            text_id = None if column is None else column[row]
            if weight > 0 and text_id:
                if not self.dataset.has_text(text_id):
                    raise SpecError(f"clip {self.dataset.clip_ids[row]} has a caption ({kind}) without text features")
                found[kind] = text_id
        return found

    def draw(self, row: int, epoch: int) -> Draw:
        """Draw the caption, its dropout, the task and the times of a clip in an epoch (draws.turn): a pure function."""
        config, shape, patch = self.config, self.dataset.shape(row), self.config.dims.patch
        frames, tokens_hw = shape[1], (shape[2] // patch[1], shape[3] // patch[2])
        rng = generator(config.seed, "draw", epoch, self.dataset.clip_ids[row])
        captions = self._captions[row]
        dropped = rng.random() < config.text_dropout
        kind, fell_back = self._kind(rng, captions)
        independent = rng.random() < config.independent_times
        times = draw_times(
            rng, frames, config.time_mean, config.time_std, config.shift_of(shape), config.times, config.mode_scale
        )
        tasks = self._stages[stage_of(epoch)].tasks or config.tasks
        known = draw_known(rng, {str(k): v for k, v in tasks.items()}, frames, tokens_hw)
        times = times if independent else np.full(frames, times[0])
        if dropped or kind is None:
            return Draw(EMPTY_TEXT_ID, "empty", fell_back, where_unknown(times, known), known)
        return Draw(captions[kind], kind, fell_back, where_unknown(times, known), known)

    def _kind(self, rng: np.random.Generator, captions: dict[CaptionKind, str]) -> tuple[CaptionKind | None, bool]:
        """Draw a kind of caption by its weight, among those that the clip has where it lacks the one drawn first.

        The kind is drawn, not the text: two kinds may share a text, and then both their weights count.
        """
        drawn: CaptionKind = weighted_choice(rng, self.config.captions)
        if drawn in captions:
            return drawn, False
        left: dict[CaptionKind, float] = {kind: self.config.captions[kind] for kind in captions}
        return (weighted_choice(rng, left) if left else None), True

    def texts(self, row: int) -> dict[CaptionKind, str]:
        """Return the ids of a clip's texts by kind: those that have a weight, and that it has."""
        return dict(self._captions[row])

    def likeliest_text(self, row: int) -> str:
        """Return the text that validation gives a clip: of its kind with the largest weight (the first of equals)."""
        captions = self._captions[row]
        if not captions:
            return EMPTY_TEXT_ID
        return captions[max(captions, key=lambda kind: self.config.captions[kind])]

    def packs(self, step: int) -> list[Pack]:
        """Return the packs of a step (from 0), of all ranks: the (row, epoch) of each clip, in the order drawn."""
        return [[(self._by_id[clip], epoch) for clip, epoch in pack] for pack in self.schedule.packs(step)]

    def groups(self, pack: Pack) -> list[Group]:
        """Return the groups of a pack, each of one latent shape."""
        shapes: dict[tuple[int, ...], Pack] = {}
        for row, epoch in pack:
            shapes.setdefault(self.dataset.shape(row), []).append((row, epoch))
        return [self.group([row for row, _ in pairs], [epoch for _, epoch in pairs]) for pairs in shapes.values()]

    def step(self, step: int, rank: int = 0, world: int = 1) -> list[Group]:
        """Return the groups of a step's packs that are a rank's. Raises SpecError when the ranks do not share evenly.

        Over all ranks the clips, their noise and their draws are the same for any number of ranks.
        """
        shared_evenly(self.config, world)
        packs = self.packs(step)[rank::world]
        self.dataset.warm(row for pack in packs for row, _ in pack)
        self.dataset.warm_texts(self.draw(row, epoch).text_id for pack in packs for row, epoch in pack)
        return [replace(group, pack=place) for place, pack in enumerate(packs) for group in self.groups(pack)]

    def balance(self, step: int, ranks: int | None = None) -> dict[str, float]:
        """Return how well a step is packed.

        `waste` is the share of its tokens that its packs leave unused (0 by clips), `imbalance` by what share the
        dearest rank's cost is above the mean: one pack a rank, unless told how many ranks.
        """
        packs, ranks = self.packs(step), ranks or self.config.packs_per_step
        tokens = [np.array([self.tokens[row] for row, _ in pack]) for pack in packs]
        loads = np.array([cost(of_pack, self.config.dims).sum() for of_pack in tokens])
        most = self.config.tokens_per_pack
        waste = 1 - sum(int(of_pack.sum()) for of_pack in tokens) / (most * len(packs)) if most else 0.0
        return {"waste": waste, "imbalance": imbalance(loads.reshape(-1, ranks).sum(axis=0))}

    def group(self, rows: list[int], epochs: list[int], times: list[float] | None = None) -> Group:
        """Build the group of clips of one shape.

        `times`, one a clip, are for validation: nothing is known, and each clip has its likeliest text, undropped.
        """
        draws = [self.draw(row, epoch) for row, epoch in zip(rows, epochs, strict=True)]
        ids = [self.dataset.clip_ids[row] for row in rows]
        clean = np.stack([self.normaliser.forward(self.dataset.latent(row)) for row in rows])
        noise = np.stack([self.noise(clip_id, e, clean.shape[1:]) for clip_id, e in zip(ids, epochs, strict=True)])
        time_BT = stack([draw.time_T for draw in draws]).astype(np.float32)
        known_BT = stack([draw.known_T for draw in draws])
        text_ids = [draw.text_id for draw in draws]
        if times is not None:
            text_ids = [self.likeliest_text(row) for row in rows]
            time_BT = np.repeat(np.array(times, np.float32)[:, None], clean.shape[2], axis=1)
            known_BT = np.zeros(time_BT.shape, dtype=bool)
        text, bias = pad_text([self.dataset.text(text_id) for text_id in text_ids])
        return Group(
            ids, [draw.caption for draw in draws], [draw.fell_back for draw in draws],
            torch.from_numpy(clean), torch.from_numpy(noise), torch.from_numpy(time_BT),
            torch.from_numpy(known_BT), torch.from_numpy(self._loss_weights[rows].astype(np.float32)),
            text, bias,
        )  # fmt: skip

    def noise(self, clip_id: str, epoch: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return a clip's noise in an epoch, float32."""
        rng = generator(self.config.seed, "noise", epoch, clip_id)
        return rng.standard_normal(shape, dtype=np.float32)


def shared_evenly(config: TrainConfig, world: int) -> None:
    """Raise SpecError unless every rank gets as many packs of a step."""
    if config.packs_per_step % world:
        raise SpecError(
            f"{world} ranks cannot share packs_per_step {config.packs_per_step} evenly: set `train: packs_per_step` to"
            f" a multiple of {world} (the clips of `batch` are shared out over the packs), or start fewer ranks"
        )


def pad_text(texts: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Stack features_LD of unequal length to (B, S, F) with zeros, and the bias (B, S): 0, or -inf at padding."""
    longest = max(len(text) for text in texts)
    stacked = np.zeros((len(texts), longest, texts[0].shape[1]), np.float32)
    bias = np.full((len(texts), longest), -np.inf, np.float32)
    for row, text in enumerate(texts):
        stacked[row, : len(text)] = text
        bias[row, : len(text)] = 0.0
    return torch.from_numpy(stacked), torch.from_numpy(bias)
