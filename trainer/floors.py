"""What linear denoisers reach on the held-out clips: numbers that no model enters, to hold a validation loss against.

`channel_floor`: the least mean squared error of a denoiser that is linear in the channels of one latent place.
`linear_floor`: the least of one that turns the channels onto the axes of their covariance and filters each by a
circular convolution, the same everywhere in the clip. It looks around in space and time, so over the same clips it is
never above the other. Both are decided on these very clips (the second shape by shape, over all that are held out), so
no denoiser of their kind does better here.

A model above `linear_floor` may do no more than a filter; one below it does what none can. (A denoiser that is linear
but not the same everywhere might do better, too.) Few clips of a shape make it low, since filters then fit them: by a
quarter of 1 / clips at most, near enough. Legend: C channels, T latent frames, H, W.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trainer.data import TrainingData
from trainer.metrics import GRID_TIMES, gaussian_floor


@dataclass(frozen=True)
class Spread:
    """Sums over latent places that channels' covariance comes of: of one, of values (C,), of products (C, C)."""

    count: int
    sum_C: np.ndarray
    products_CC: np.ndarray

    @classmethod
    def of(cls, latent_CTHW: np.ndarray) -> Spread:
        """Return the sums of a clip. Normalised latents are near zero, so no digits are lost to a far mean."""
        values = latent_CTHW.reshape(latent_CTHW.shape[0], -1).astype(np.float64)
        return cls(values.shape[1], values.sum(axis=1), values @ values.T)

    @classmethod
    def over(cls, clips: Sequence[Spread]) -> Spread:
        """Return the sums over clips."""
        sums, products = np.sum([clip.sum_C for clip in clips], axis=0), np.sum([c.products_CC for c in clips], axis=0)
        return cls(sum(clip.count for clip in clips), sums, products)

    def covariance(self) -> np.ndarray:
        """Return the covariance between channels at one latent place, (C, C)."""
        mean_C = self.sum_C / self.count
        return self.products_CC / self.count - np.outer(mean_C, mean_C)


def spectra(clips_CTHW: Iterable[np.ndarray], axes_CC: np.ndarray) -> np.ndarray:
    """Return the power of clips of one shape at every frequency, about their mean, on turned channels: (C, T, H, W).

    Its mean over frequencies is the variance along an axis (a column of `axes_CC`).
    """
    count, power_CTHW, mean_C = 0, np.zeros(()), np.zeros(len(axes_CC))
    for clip in clips_CTHW:
        turned = np.tensordot(axes_CC.T, clip.astype(np.float64), axes=1)
        power_CTHW = power_CTHW + np.abs(np.fft.fftn(turned, axes=(1, 2, 3))) ** 2 / turned[0].size
        count, mean_C = count + 1, mean_C + turned.mean(axis=(1, 2, 3))
    power_CTHW, mean_C = power_CTHW / count, mean_C / count
    power_CTHW[:, 0, 0, 0] -= mean_C**2 * power_CTHW[0].size
    return np.maximum(power_CTHW, 0.0)  # below zero only by rounding


class Floors:
    """The floors of a run's held-out clips; each clip is read twice, at the first validation."""

    def __init__(self, data: TrainingData) -> None:
        self.data = data

    def channel(self, rows: Sequence[int]) -> dict[float, float]:
        """Return the channel floor of clips, by time of the grid."""
        spread = Spread.over([self._spreads[row] for row in rows])
        return _by_time(np.linalg.eigvalsh(spread.covariance()))

    def linear(self, row: int) -> dict[float, float]:
        """Return the linear floor of the held-out clips of a clip's shape, by time of the grid."""
        return self._linear[self.data.dataset.shape(row)]

    @cached_property
    def _spreads(self) -> dict[int, Spread]:
        return {row: Spread.of(self._latent(row)) for row in self.data.held_out}

    @cached_property
    def _linear(self) -> dict[tuple[int, ...], dict[float, float]]:
        shapes: dict[tuple[int, ...], list[int]] = {}
        for row in self.data.held_out:
            shapes.setdefault(self.data.dataset.shape(row), []).append(row)
        return {shape: _by_time(spectra(map(self._latent, rows), self._axes(rows))) for shape, rows in shapes.items()}

    def _axes(self, rows: list[int]) -> np.ndarray:
        """Return the axes along which channels of clips do not vary together, as columns (C, C)."""
        return np.linalg.eigh(Spread.over([self._spreads[row] for row in rows]).covariance())[1]

    def _latent(self, row: int) -> np.ndarray:
        return self.data.normaliser.forward(self.data.dataset.latent(row))


def _by_time(variances: np.ndarray) -> dict[float, float]:
    return dict(zip(GRID_TIMES, gaussian_floor(variances, np.array(GRID_TIMES)).tolist(), strict=True))
