"""Which clips a stage of the training draws, and how often: one number a clip, its expected visits an epoch.

The column `weight` is the beginning; tiers take clips out, a mixture scales each source to its share of the draws, and
a cap scales synthetic media down. What is left at 0 has its reason, so that no clip is dropped without a word.
Legend: N clips.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np

from curate.errors import SpecError
from trainer.config import StageConfig

DRAWN = "trained"
_NOT_SYNTHETIC = frozenset({"false", "unknown", "none", ""})


def column_weights(values: list[float | None] | None, clip_ids: list[str], column: str = "weight") -> np.ndarray:
    """Return the column `weight`, or `loss_weight`, as float64 (N,); a clip without one has 1.

    Raises SpecError on what is no weight.
    """
    weights = np.array([1.0 if value is None else value for value in values or [None] * len(clip_ids)], np.float64)
    wrong = ~(np.isfinite(weights) & (weights >= 0))
    if wrong.any():
        place = int(wrong.argmax())
        raise SpecError(f"clip {clip_ids[place]} has the {column} {weights[place]}: it must be a number from 0 up")
    return weights


def is_synthetic(value: Any) -> bool:
    """Whether a clip counts as synthetic: also where copies of its source disagree, not where nobody says."""
    return str(value).lower() not in _NOT_SYNTHETIC


def stage_weights(
    weights_N: np.ndarray, columns: dict[str, list[Any]], stage: StageConfig, most_synthetic: float
) -> tuple[np.ndarray, list[str]]:
    """Return the expected visits an epoch (N,) and the fate of each clip: `trained`, or why it is not drawn.

    `columns` are width, height, source_class, origin and is_synthetic, by clip. Raises SpecError on tiers and sources
    that the data do not have, and when nothing is left.
    """
    count = len(weights_N)
    weights, fates, names = weights_N.astype(np.float64), [DRAWN] * count, [""] * count

    def leave_out(where: np.ndarray, fate: str) -> None:
        for place in np.flatnonzero(where & (weights > 0)).tolist():
            fates[place] = fate
        weights[where] = 0.0

    for place in np.flatnonzero(weights == 0).tolist():
        fates[place] = "weight_0"
    if stage.tiers:
        sides = np.minimum(columns["width"], columns["height"])
        there = sorted(set(sides[weights > 0].tolist()))
        if missing := sorted(set(stage.tiers) - set(there)):
            raise SpecError(f"train: tiers {missing} are not in the dataset; its clips have the shorter sides {there}")
        leave_out(~np.isin(sides, stage.tiers), "tier")
    if stage.mixture:
        names = _names(columns, stage.mixture, count)
        leave_out(np.array([stage.mixture.get(name, 0.0) == 0 for name in names]), "mixture")
    synthetic = np.array([is_synthetic(value) for value in columns.get("is_synthetic") or [None] * count], bool)
    if most_synthetic == 0:
        leave_out(synthetic, "synthetic")
    if stage.mixture:
        weights = _mixed(weights, names, stage.mixture)
        weights = _capped_within(weights, synthetic, most_synthetic, np.array(names))
    else:
        weights = _capped(weights, synthetic, most_synthetic)
    if weights.sum() < 1 - 1e-6:
        kinds = ", ".join(sorted(set(fates)))
        raise SpecError(
            f"train: no clip is left to draw from, or less than one an epoch ({kinds}, {weights.sum():.3g} draws): see"
            " `weight`, `tiers`, `mixture`, `max_synthetic`"
        )
    return weights, fates


def _names(columns: dict[str, list[Any]], mixture: dict[str, float], count: int) -> list[str]:
    """Return the name by which the mixture knows each clip: its origin's, else its class's, else none."""
    nothing = [""] * count
    origins, classes = columns.get("origin") or nothing, columns.get("source_class") or nothing
    known = {str(name) for name in (*origins, *classes) if name}
    for name in mixture:
        if name not in known:
            like = get_close_matches(name, sorted(known), n=3, cutoff=0.0)
            raise SpecError(f"train: mixture: no clip is of {name!r}; the nearest there are: {', '.join(like)}")
    pairs = zip(origins, classes, strict=True)
    return [str(origin if origin in mixture else kind if kind in mixture else "") for origin, kind in pairs]


def _mixed(weights: np.ndarray, names: list[str], mixture: dict[str, float]) -> np.ndarray:
    """Scale each source to its share of the draws; how many draws an epoch has stays."""
    shares = {name: value for name, value in mixture.items() if value > 0}
    of_clip, mixed, total = np.array(names), np.zeros_like(weights), weights.sum()
    for name, share in shares.items():
        there = of_clip == name
        if not weights[there].sum() > 0:
            raise SpecError(f"train: mixture: {name!r} has no clip that may be drawn in this stage: leave it out")
        mixed[there] = weights[there] * (total / weights[there].sum() * share / sum(shares.values()))
    return mixed


def _capped(weights: np.ndarray, synthetic: np.ndarray, most: float) -> np.ndarray:
    """Scale synthetic media down to at most this share of the draws."""
    false, true = weights[~synthetic].sum(), weights[synthetic].sum()
    if true <= most * (false + true):
        return weights
    if not false > 0:
        raise SpecError(f"train: max_synthetic is {most}, and all clips that may be drawn are synthetic")
    return np.where(synthetic, weights * (most / (1 - most) * false / true), weights)


def _capped_within(weights: np.ndarray, synthetic: np.ndarray, most: float, names: np.ndarray) -> np.ndarray:
    """Scale synthetic media down to at most this share of the draws, and each source's others up to its own share.

    One factor for the synthetic media of all sources, found by halving. Raises SpecError when the mixture gives more
    to sources that have nothing else.
    """
    sources, of_clip = np.unique(names, return_inverse=True)
    true = np.bincount(of_clip, weights * synthetic, len(sources))
    false = np.bincount(of_clip, weights * ~synthetic, len(sources))
    share, wanted = true + false, most * weights.sum()
    least = float(share[false == 0].sum())
    if true.sum() <= wanted:
        return weights
    if least > wanted:
        raise SpecError(
            f"train: max_synthetic is {most}, and the mixture gives {least / weights.sum():.3g} of the draws to sources"
            " whose clips that may be drawn are all synthetic"
        )

    def scale(factor: float) -> np.ndarray:
        left = factor * true + false
        return np.divide(share, left, out=np.zeros_like(left), where=left > 0)

    low, high = 0.0, 1.0
    for _ in range(100):
        factor = (low + high) / 2
        low, high = (low, factor) if (factor * true * scale(factor)).sum() > wanted else (factor, high)
    return weights * np.where(synthetic, high, 1.0) * scale(high)[of_clip]
