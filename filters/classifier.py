"""Classifier: any image-classification model of transformers, by folder or by name, and which of its labels count.

(T, H, W, 3) uint8 proxies; three crops of what is not square. Needs the extra `models`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from curate.extras import require
from curate.models import folder_sha256, model_folder
from curate.registry import nearest
from curate.stage import Clip, Screen
from filters._classifier import labels_of, probabilities, side_of
from filters._crops import crops, worst_of_crops

require("transformers", "models")


class Classifier(Screen):
    """Probability of the labels that mean the category, summed."""

    name = "classifier"
    per_category = True

    def __init__(
        self, categories: Sequence[str], model: str, labels: Sequence[str], revision: str | None = None
    ) -> None:
        """Ask a model for some of its labels; ValueError for a model that is not there or a label that it has not."""
        super().__init__(categories)
        self._folder = model_folder(model, revision)
        places = labels_of(self._folder)
        for label in labels:
            if label not in places:
                raise ValueError(f"{model} has no label {label!r}; {nearest(label, list(places))}")
        if not labels:
            raise ValueError(f"say which labels mean {', '.join(categories)}; {model} has {', '.join(places)}")
        self.labels, self._places = tuple(labels), [places[label] for label in labels]

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        cut_TKHWC = crops(frames_THWC, side_of(self._folder))
        found_NL = probabilities(self._folder, cut_TKHWC.reshape(-1, *cut_TKHWC.shape[2:]))
        summed_TK = found_NL[:, self._places].sum(axis=1).reshape(cut_TKHWC.shape[:2])
        return dict.fromkeys(self.categories, worst_of_crops(summed_TK))

    def identity(self) -> Mapping[str, Any]:
        """The weights, and the labels that count."""
        return {"weights": folder_sha256(self._folder), "labels": list(self.labels)}
