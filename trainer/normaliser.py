"""Latents to the numbers that a model sees, and back. Legend: C channels, T latent frames, H, W."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.errors import SpecError

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
