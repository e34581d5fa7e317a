"""Latent codecs and text encoders, by name: `latent_codec("dct", channels=48)`, `text_encoder("hashed")`.

Arrays at this surface are numpy: a worker process that encodes need not import torch.
Legend: B batch, C colours or channels, T frames, H, W; L words, D features.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import numpy as np

from curate.errors import SpecError

Alive = Callable[[], None]

__all__ = ["LatentCodec", "TextEncoder", "latent_codec", "text_encoder"]


class LatentCodec(Protocol):
    """Pixels to latents and back. A clip has 1 + time_factor * k frames; the first stands alone (causal).

    aside: parameters that decide where or with which file the work is done, and nothing of what comes out that the
    fingerprint does not cover. `alive` says that a long clip makes progress.
    """

    channels: int
    time_factor: int
    space_factor: int
    fingerprint: str
    aside: ClassVar[tuple[str, ...]]

    def encode(self, pixels_BCTHW: np.ndarray, alive: Alive | None = None) -> np.ndarray:
        """Encode RGB pixels in [-1, 1], float32, to latent_BCTHW, float32. Raises InputRejected on bad shapes."""
        ...

    def encode_frames(self, frames_THWC: np.ndarray, alive: Alive | None = None) -> np.ndarray:
        """Encode one clip's uint8 RGB frames to latent_CTHW, float32; equal to `encode` but for rounding."""
        ...

    def decode(self, latent_BCTHW: np.ndarray, alive: Alive | None = None) -> np.ndarray:
        """Decode latent_BCTHW to RGB pixels (nominally in [-1, 1], not clipped), float32."""
        ...

    def how(self, frames: int, height: int, width: int) -> str:
        """Return how a clip of this size is encoded: whole or in tiles, and in which precision."""
        ...

    def described(self) -> dict[str, Any]:
        """Return what a dataset's card says of the latents, beside the codec's name and parameters."""
        ...

    def stats(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the per-channel mean and standard deviation the codec was published with, or None."""
        ...


class TextEncoder(Protocol):
    """Texts to rows of features, trimmed: no padding, at least one row. `aside` is as for LatentCodec."""

    fingerprint: str
    aside: ClassVar[tuple[str, ...]]

    def encode(self, texts: list[str], alive: Alive | None = None) -> list[np.ndarray]:
        """Return features_LD, float32, for each text; L differs from text to text and is at least 1."""
        ...


def _dct(**params: Any) -> LatentCodec:
    from curate.codecs.dct import DctCodec

    return DctCodec(**params)


def _vae(**params: Any) -> LatentCodec:
    from curate.codecs.vae import VaeCodec

    return VaeCodec(**params)


def _hashed(**params: Any) -> TextEncoder:
    from curate.codecs.hashed import HashedTextEncoder

    return HashedTextEncoder(**params)


def _transformers(**params: Any) -> TextEncoder:
    from curate.codecs.transformers_text import TransformersTextEncoder

    return TransformersTextEncoder(**params)


LATENT_CODECS: dict[str, Callable[..., LatentCodec]] = {"dct": _dct, "vae": _vae}
TEXT_ENCODERS: dict[str, Callable[..., TextEncoder]] = {"hashed": _hashed, "transformers": _transformers}


def latent_codec(name: str, **params: Any) -> LatentCodec:
    """Return the latent codec `name`. Raises SpecError on an unknown name or parameter."""
    return _make("latent codec", name, LATENT_CODECS, params)


def text_encoder(name: str, **params: Any) -> TextEncoder:
    """Return the text encoder `name`. Raises SpecError on an unknown name or parameter."""
    return _make("text encoder", name, TEXT_ENCODERS, params)


def _make(kind: str, name: str, known: dict[str, Callable[..., Any]], params: dict[str, Any]) -> Any:
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.0)
        raise SpecError(f"unknown {kind} {name!r}; the nearest are: {', '.join(near)}")
    try:
        return known[name](**params)
    except TypeError as error:
        raise SpecError(f"{kind} {name!r}: {error}") from error
