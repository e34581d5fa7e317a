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


def missed_share(features_ND: np.ndarray, labels_N: np.ndarray, seed: int, kind: Kind = "linear") -> np.ndarray:
    """For every labelled item the share of the fits that held it out and missed it (0 for negatives)."""
    rng = np.random.default_rng(seed)
    labels_N = np.asarray(labels_N, bool)
    held, missed = np.zeros(len(labels_N)), np.zeros(len(labels_N))
    for _ in range(FITS // _FOLDS):
        folds = rng.permutation(len(labels_N)) % _FOLDS
        for fold in range(_FOLDS):
            out = folds == fold
            if len(set(labels_N[~out])) < 2:
                continue
            head = fit(features_ND[~out], labels_N[~out], kind)
            held[out] += 1
            missed[out] += labels_N[out] & (head.decide(features_ND[out]) < 0)
    return missed / np.maximum(held, 1)


def propose_b(
    labelled_ND: np.ndarray, labels_N: np.ndarray, pool_MD: np.ndarray, taken_M: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Neighbours in the pool of the labelled positives that are missed most, in turns, nearest first.

    taken_M: which of the pool has a label.
    """
    share_N = missed_share(labelled_ND, labels_N, seed)
    hard = np.flatnonzero(share_N > 0)
    if not len(hard):
        return np.empty(0, int)
    mean, scale = labelled_ND.mean(axis=0), np.maximum(labelled_ND.std(axis=0), 1e-6)
    seeds_SD, known_MD = _unit((labelled_ND[hard] - mean) / scale), _unit((pool_MD - mean) / scale)
    near_SM = seeds_SD @ known_MD.T
    near_SM[:, taken_M] = -np.inf
    # A seed that every fit misses pulls more than one that a few do.
    pull_M = (near_SM * share_N[hard, None]).max(axis=0)
    order = np.argsort(-pull_M, kind="stable")
    return order[np.isfinite(pull_M[order])][:count]


def _unit(rows_ND: np.ndarray) -> np.ndarray:
    return rows_ND / np.maximum(np.linalg.norm(rows_ND, axis=1, keepdims=True), 1e-9)
