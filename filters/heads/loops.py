"""What to label next. Indices of pool items, the most telling first; deterministic for a seed.

Loop A shows people what is flagged at a threshold that misses nothing: mostly false alarms, whose labels cut those.
Loop B looks for what is missed: many heads are fitted on parts of the labels, labelled positives that they miss show
where the class is thin, and what lies near those in the pool is labelled. The boundary is where the head is least sure.
"""

from __future__ import annotations

import numpy as np

from filters.heads.fit import Kind, fit

FITS = 100  # cheap fits of loop B
_FOLDS = 5


def propose_a(scores_N: np.ndarray, labelled_N: np.ndarray, positives: np.ndarray, count: int, seed: int) -> np.ndarray:
    """A sample of what is flagged where every labelled positive is, the surest half and any of the rest.

    scores_N: of the pool; labelled_N: which of it has a label; positives: scores of the labelled positives.
    """
    rng = np.random.default_rng(seed)
    flagged = np.flatnonzero((scores_N >= np.min(positives)) & ~labelled_N)
    order = flagged[np.argsort(-scores_N[flagged], kind="stable")]
    surest = order[: count // 2]
    rest = rng.permutation(order[count // 2 :])[: count - len(surest)]
    return np.concatenate([surest, rest])


def propose_boundary(scores_N: np.ndarray, labelled_N: np.ndarray, count: int) -> np.ndarray:
    """What lies nearest to the threshold."""
    open_ = np.flatnonzero(~labelled_N)
    return open_[np.argsort(np.abs(scores_N[open_]), kind="stable")][:count]


def held_out(features_ND: np.ndarray, labels_N: np.ndarray, seed: int, kind: Kind = "linear") -> np.ndarray:
    """What the fits that held an item out say of it, (N, fits); NaN where a fit learned from it."""
    rng = np.random.default_rng(seed)
    labels_N = np.asarray(labels_N, bool)
    found = np.full((len(labels_N), FITS), np.nan)
    for turn in range(FITS // _FOLDS):
        folds = rng.permutation(len(labels_N)) % _FOLDS
        for fold in range(_FOLDS):
            out = folds == fold
            if len(set(labels_N[~out])) == 2:
                found[out, turn * _FOLDS + fold] = fit(features_ND[~out], labels_N[~out], kind).decide(features_ND[out])
    return found


def propose_b(
    labelled_ND: np.ndarray, labels_N: np.ndarray, pool_MD: np.ndarray, taken_M: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Neighbours in the pool of the labelled positives that the fits are least sure of, in turns, nearest first.

    Those that they miss come first; where none is missed, the tenth of which they are least sure shows where the class
    is thin. taken_M: which of the pool has a label.
    """
    labels_N = np.asarray(labels_N, bool)
    said_NF = held_out(labelled_ND, labels_N, seed)
    sure_N = np.nanmean(said_NF, axis=1)
    positives = np.flatnonzero(labels_N)
    order = positives[np.argsort(sure_N[positives], kind="stable")]
    missed = int((np.nanmin(said_NF[order], axis=1) < 0).sum()) if len(order) else 0
    hard = order[: max(missed, -(-len(order) // 10))]
    mean, scale = labelled_ND.mean(axis=0), np.maximum(labelled_ND.std(axis=0), 1e-6)
    seeds_SD, known_MD = _unit((labelled_ND[hard] - mean) / scale), _unit((pool_MD - mean) / scale)
    near_SM = seeds_SD @ known_MD.T
    near_SM[:, taken_M] = -np.inf
    chosen: list[int] = []
    open_ = int((~taken_M).sum())
    while len(chosen) < min(count, open_):  # each seed in its turn takes the nearest that nobody has taken
        for row_M in near_SM:
            best = int(row_M.argmax())
            if len(chosen) < min(count, open_):
                chosen.append(best)
                near_SM[:, best] = -np.inf
    return np.array(chosen, int)


def _unit(rows_ND: np.ndarray) -> np.ndarray:
    return rows_ND / np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-9)
