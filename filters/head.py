"""Head: a classifier that the recipe of `rushes head` trained, calibrated, audited and promoted.

(T, H, W, 3) uint8 proxies; three crops of what is not square. 0 is where it misses the share that it was made to miss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import SpecError
from curate.stage import Clip, Screen
from filters.heads.artifact import load
from filters.heads.clips import clip_features, frame_scores
from filters.heads.encoders import Encoder, of_artifact


class TrainedHead(Screen):
    """Decision of a promoted head for its own category."""

    name = "head"
    per_category = True

    def __init__(self, categories: Sequence[str], file: str) -> None:
        """Take a promoted head; ValueError for one that was not promoted, or was made for another category."""
        super().__init__(categories)
        try:
            self._artifact = load(Path(file))
        except SpecError as error:
            raise ValueError(str(error)) from error
        facts = self._artifact.facts
        if list(categories) != [facts["category"]]:
            raise ValueError(f"{file} was made for {facts['category']}, not for {', '.join(categories)}")
        if not facts.get("promoted"):
            raise ValueError(
                f"{file} was not promoted: run `rushes head promote {facts['category']}`, which wants an audit"
            )

    @cached_property
    def _encoder(self) -> Encoder:
        return of_artifact(self._artifact)

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        scores_T = frame_scores(self._artifact.head, clip_features(frames_THWC, self._encoder))
        return dict.fromkeys(self.categories, scores_T)

    def identity(self) -> Mapping[str, Any]:
        """What decides."""
        return {"head": self._artifact.sha256, "encoder": self._artifact.facts["encoder"]["fingerprint"]}

    def calibration(self) -> Mapping[str, Any] | None:
        """What was measured on held-out labels and in the audit."""
        facts = self._artifact.facts
        return {"on": facts["labels"], "calibration": facts["calibration"], "audit": facts["audit"]}
