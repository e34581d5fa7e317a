"""Heads: a linear one (logistic regression) and a support vector machine with an RBF kernel, as GLIDE used (F.1).

scikit-learn fits them; what they say of new features is written out in NumPy, so that a promoted head needs nothing
else. Features are standardised first. A decision is above 0 for the positive class, before any calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from curate.errors import SpecError
from curate.extras import require

Kind = Literal["linear", "rbf"]
_CHUNK = 4096  # rows whose distances to the support vectors are held at once


@dataclass(frozen=True)
class Head:
    """What decides: `mean`, `scale` (D,) standardise; `vectors` (S, D), `weights` (S,), `bias`; gamma of an RBF head.

    A linear head has one vector, its weights, and no gamma.
    """

    kind: Kind
    mean: np.ndarray
    scale: np.ndarray
    vectors: np.ndarray
    weights: np.ndarray
    bias: float
    gamma: float = 0.0

    def decide(self, features_ND: np.ndarray) -> np.ndarray:
        """Decisions (N,) float64."""
        known_ND = (np.asarray(features_ND, np.float64) - self.mean) / self.scale
        if self.kind == "linear":
            return known_ND @ self.vectors[0] + self.bias
        found = np.empty(len(known_ND))
        squares_S = (self.vectors**2).sum(axis=1)
        for start in range(0, len(known_ND), _CHUNK):
            part = known_ND[start : start + _CHUNK]
            apart_NS = (part**2).sum(axis=1)[:, None] + squares_S - 2.0 * part @ self.vectors.T
            found[start : start + _CHUNK] = np.exp(-self.gamma * np.maximum(apart_NS, 0.0)) @ self.weights + self.bias
        return found


def fit(features_ND: np.ndarray, labels_N: np.ndarray, kind: Kind = "rbf", strength: float = 1.0) -> Head:
    """Fit a head; both classes weigh the same, whatever their number. `strength` is scikit-learn's C.

    Raises:
        SpecError: only one class was labelled.
    """
    require("sklearn", "heads")
    labels_N = np.asarray(labels_N, bool)
    if labels_N.all() or not labels_N.any():
        raise SpecError("a head needs labels of both kinds: label some positives and some negatives first")
    mean = features_ND.mean(axis=0, dtype=np.float64)
    scale = np.maximum(features_ND.std(axis=0, dtype=np.float64), 1e-6)
    known_ND = (features_ND - mean) / scale
    if kind == "linear":
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=strength, class_weight="balanced", max_iter=1000).fit(known_ND, labels_N)
        return Head(kind, mean, scale, model.coef_.astype(np.float64), np.ones(1), float(model.intercept_[0]))
    from sklearn.svm import SVC

    gamma = 1.0 / known_ND.shape[1]  # of standardised features: scikit-learn's `scale`
    model = SVC(C=strength, gamma=gamma, class_weight="balanced").fit(known_ND, labels_N)
    weights = model.dual_coef_[0].astype(np.float64)
    return Head(kind, mean, scale, model.support_vectors_, weights, float(model.intercept_[0]), gamma)
