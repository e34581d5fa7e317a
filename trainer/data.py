"""A training step's tensors: which clips, which captions, what noise, as pure functions of (seed, step, clip id).

A step is a list of groups; a group holds the clips of one latent shape, so any mix of sizes trains, uncropped.
Legend: B clips, C channels, T latent frames, H, W; S words (padded to the group's longest), F text features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from curate.dataset.reader import Dataset
from curate.errors import SpecError
from trainer.conditioning import draw_known, stack, where_unknown
from trainer.config import CaptionKind, TrainConfig
from trainer.draws import generator, step_members, weighted_choice
from trainer.flow import draw_times
from trainer.provenance import EMPTY_TEXT_ID

# A channel that hardly varies must not be blown up to the size of the others.
SMALLEST_STD_SHARE = 1e-3


@dataclass(frozen=True)
class Normaliser:
    """Latents to the numbers the model sees: (x - mean) / std ** whiten, times a gain that makes the rms 1."""

    mean_C: np.ndarray
    scale_C: np.ndarray

    @classmethod
    def from_card(cls, card: dict[str, Any], whiten: float, imported: bool = False) -> Normaliser:
        """Read the dataset's mean and std. Raises SpecError when the dataset has no clips.

        Imported weights know latents normalised by their codec, and get those as they are.
        """
        stats = card["latent_stats"]
        if stats is None:
            raise SpecError("the dataset holds no clips: nothing was kept")
        mean, std = np.array(stats["mean"]), np.array(stats["std"])
        normalised = card.get("codec", {}).get("normalised")
        if imported and normalised:
            return cls(np.zeros(len(mean), np.float32), np.ones(len(mean), np.float32))
        if imported and normalised is not None:
            raise SpecError(
                "train.init: its weights know normalised latents: encode with the codec's `normalise: true`"
            )
        std = np.maximum(std, SMALLEST_STD_SHARE * max(float(std.max()), 1e-12))
        scale = std**whiten * np.sqrt(np.mean(std ** (2 - 2 * whiten)))
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    @classmethod
    def from_run(cls, run: dict[str, Any]) -> Normaliser:
        """Read back what a run's card says."""
        return cls(np.array(run["latent_mean"], np.float32), np.array(run["latent_scale"], np.float32))

    def forward(self, latent: np.ndarray) -> np.ndarray:
        """Normalise (..., C, T, H, W), float32."""
        return (latent - self.mean_C[:, None, None, None]) / self.scale_C[:, None, None, None]

    def inverse(self, latent: np.ndarray) -> np.ndarray:
        """Undo `forward`."""
        return latent * self.scale_C[:, None, None, None] + self.mean_C[:, None, None, None]


@dataclass(frozen=True)
class Group:
    """Clips of one shape. `time_BT` is 0 where `known_BT`; `text_bias_BS` is -inf at padding.

    Times and known are of tokens, (B, T, h, w), where a clip of the group is inpainted.

    `captions` are the kinds of the clips' captions, "empty" where there is none or it was dropped; `fell_back`
    where a kind was drawn that the clip does not have.
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

    Raises SpecError when there are none, when the empty text is missing (dropout needs its true features), or
    when a caption that has a weight was exported without its features, or a text is longer than what all are padded to.
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
        by_id = sorted(range(len(dataset)), key=lambda row: dataset.clip_ids[row])
        held = self._held_sources(by_id)
        sources = dataset.columns["source_id"]
        self.rows = [row for row in by_id if sources[row] not in held]
        self.held_out = [row for row in by_id if sources[row] in held]
        if not self.rows:
            raise SpecError(f"{dataset.path} has {len(dataset)} clips and eval_clips is {config.eval_clips}: none left")
        patch = config.dims.patch
        for row in self.rows + self.held_out:
            shape = dataset.shape(row)
            if any(size % p for size, p in zip(shape[1:], patch, strict=True)):
                raise SpecError(
                    f"clip {dataset.clip_ids[row]} has a latent of {shape[1:]}, which patches of {patch} do not fill:"
                    " change `encode: latents` (frame sizes that are multiples) or `train: model: patch`"
                )
        self._captions = {row: self._caption_ids(row) for row in self.rows + self.held_out}
        if self.uncaptioned == len(self.rows):
            kinds = ", ".join(kind for kind, weight in config.captions.items() if weight > 0)
            raise SpecError(
                f"no clip has a caption ({kinds}), so the model would learn from no text at all:"
                " weigh the kinds that there are under `train: captions`"
            )

    def _held_sources(self, rows: list[int]) -> set[str]:
        """Sources held out for validation, in a seeded order until they have `eval_clips` clips.

        Whole sources: the next seconds of a clip that is trained on would not be unseen.
        """
        clips: dict[str, int] = {}
        for row in rows:
            source = self.dataset.columns["source_id"][row]
            clips[source] = clips.get(source, 0) + 1
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
        """Draw the caption, its dropout, the task and the times of a clip in an epoch: a pure function."""
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
        known = draw_known(rng, {str(k): v for k, v in config.tasks.items()}, frames, tokens_hw)
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

    def likeliest_text(self, row: int) -> str:
        """Return the text that validation gives a clip: of its kind with the largest weight (the first of equals)."""
        captions = self._captions[row]
        if not captions:
            return EMPTY_TEXT_ID
        return captions[max(captions, key=lambda kind: self.config.captions[kind])]

    def step(self, step: int) -> list[Group]:
        """Return the groups of a step (from 0), each of one latent shape, clips in the order drawn."""
        members = step_members(self.config.seed, step, self.config.batch, len(self.rows))
        shapes: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for epoch, index in members:
            row = self.rows[index]
            shapes.setdefault(self.dataset.shape(row), []).append((row, epoch))
        return [self.group([row for row, _ in pairs], [epoch for _, epoch in pairs]) for pairs in shapes.values()]

    def group(self, rows: list[int], epochs: list[int], times: list[float] | None = None) -> Group:
        """Build the group of clips of one shape.

        `times`, one a clip, are for validation: nothing is known, and each clip has its likeliest text, undropped.
        """
        draws = [self.draw(row, epoch) for row, epoch in zip(rows, epochs, strict=True)]
        ids = [self.dataset.clip_ids[row] for row in rows]
        clean = np.stack([self.normaliser.forward(self.dataset.latent(row)) for row in rows])
        noise = np.stack([self.noise(clip_id, e, clean.shape[1:]) for clip_id, e in zip(ids, epochs, strict=True)])
        weights = self.dataset.columns.get("loss_weight") or [1.0] * len(self.dataset)
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
            torch.from_numpy(known_BT), torch.tensor([1.0 if weights[r] is None else weights[r] for r in rows]),
            text, bias,
        )  # fmt: skip

    def noise(self, clip_id: str, epoch: int, shape: tuple[int, ...]) -> np.ndarray:
        """Return a clip's noise in an epoch, float32."""
        rng = generator(self.config.seed, "noise", epoch, clip_id)
        return rng.standard_normal(shape, dtype=np.float32)


def pad_text(texts: list[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Stack features_LD of unequal length to (B, S, F) with zeros, and the bias (B, S): 0, or -inf at padding."""
    longest = max(len(text) for text in texts)
    stacked = np.zeros((len(texts), longest, texts[0].shape[1]), np.float32)
    bias = np.full((len(texts), longest), -np.inf, np.float32)
    for row, text in enumerate(texts):
        stacked[row, : len(text)] = text
        bias[row, : len(text)] = 0.0
    return torch.from_numpy(stacked), torch.from_numpy(bias)
