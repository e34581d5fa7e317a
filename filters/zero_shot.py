"""Zero-shot: how much better a frame fits the prompts of a category than neutral ones, by a CLIP model (open_clip).

(T, H, W, 3) uint8 proxies; three crops of what is not square. Needs the extra `clip`. The value is
1 / (1 + exp(-s * (c - n))): s the model's logit scale, c and n the cosines of the best fitting prompt of the category
and of the neutral ones. The best and not the mean, so that a prompt more never dilutes the others. Nobody measured how
much it misses: it is `uncalibrated` until somebody does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from curate import clip_model
from curate.extras import require
from curate.models import folder_sha256, model_folder
from curate.stage import Clip, Screen
from filters._crops import crops, worst_of_crops
from filters._zero_shot import NEUTRAL, PROMPTS, prompt_features, prompts_sha256, read_prompts

require("open_clip", "clip")


class ZeroShot(Screen):
    """Share of a category against neutral prompts, in [0, 1]; 0.5 where both fit as well."""

    name = "zero_shot"

    def __init__(
        self,
        categories: Sequence[str],
        model: str = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        prompts: str | None = None,
    ) -> None:
        """Compare with `prompts` (those that ship by default); ValueError for a category without any, or no model."""
        super().__init__(categories)
        self._folder = model_folder(model)
        self._prompts = read_prompts(Path(prompts) if prompts else PROMPTS)
        for category in categories:
            if category not in self._prompts:
                raise ValueError(f"no prompt says what {category} is; add some to a file and name it with `prompts:`")

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure (T, H, W, 3) uint8 frames."""
        cut_TKHWC = crops(frames_THWC, clip_model.side_of(self._folder))
        seen_ND = clip_model.square_features(self._folder, cut_TKHWC.reshape(-1, *cut_TKHWC.shape[2:]))
        fits = {name: (seen_ND @ prompt_features(self._folder, self._prompts[name]).T).max(axis=1)
                for name in (NEUTRAL, *self.categories)}  # fmt: skip
        scale = clip_model.temperature(self._folder)
        apart = {name: scale * (fits[name] - fits[NEUTRAL]) for name in self.categories}
        shape = cut_TKHWC.shape[:2]
        return {name: worst_of_crops((1 / (1 + np.exp(-gap))).reshape(shape)) for name, gap in apart.items()}

    def identity(self) -> Mapping[str, Any]:
        """The weights and the prompts."""
        return {"weights": folder_sha256(self._folder), "prompts": prompts_sha256(self._prompts)}
