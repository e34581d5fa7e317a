"""Latents of a video autoencoder of diffusers: Wan, LTX-Video, and others with their interface.

    encode: {latents: {codec: vae, model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers}}

What is stored is the mean of the posterior, normalised as the model's own pipeline does it: (mean - latents_mean) /
latents_std * scaling_factor. What a plan needs to know stands in the model's config.json, so that torch and diffusers
are loaded by the process that encodes, at its first clip (curate/codecs/_vae_model.py).

Legend: B batch, C colours or channels, T frames, H, W.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from curate.codecs._shapes import check_latents, check_pixels
from curate.errors import SpecError
from curate.extras import require
from curate.models import folder_sha256, model_folder, weights_dtype

VERSION = 2  # part of the fingerprint: raise it when the numbers change
# A worker without a GPU has engine.limits.memory_gib, 8 by default, of which kernels take as much again as the model
# holds, and its frames and libraries the rest. Encoding is the same with or without a GPU; who decodes samples has no
# such limit.
MEMORY_GB = {"encode": 2.5, "decode": 16.0}
DTYPES = ("auto", "bf16", "fp32")


@dataclass(frozen=True)
class Family:
    """What is known of a class of autoencoders. `shape` gives (channels, time factor, space factor) of a config.

    by_time: its encoder walks through time by itself, with what it saw before held in caches, so that memory does not
    grow with length and nothing is lost. One that does not takes a clip at once: it cannot be cut in time exactly.
    patched: its tiles are counted in patches, not in pixels. causal: what comes later changes no earlier latent; others
    may be so, but nobody looked.
    """

    shape: Callable[[Mapping[str, Any]], tuple[int, int, int]]
    by_time: bool = False
    patched: bool = False
    causal: bool = False


def _wan(config: Mapping[str, Any]) -> tuple[int, int, int]:
    return config.get("z_dim", 16), config.get("scale_factor_temporal") or 4, config.get("scale_factor_spatial") or 8


def _ltx(config: Mapping[str, Any]) -> tuple[int, int, int]:
    if not config.get("encoder_causal", True):
        raise SpecError("its encoder is not causal (encoder_causal: false): the first frame must stand alone")
    halvings = 2 ** sum(config.get("spatio_temporal_scaling", (True, True, True, False)))
    return (
        config.get("latent_channels", 128),
        config.get("temporal_compression_ratio") or config.get("patch_size_t", 1) * halvings,
        config.get("spatial_compression_ratio") or config.get("patch_size", 4) * halvings,
    )


STATED = ("latent_channels", "temporal_compression_ratio", "spatial_compression_ratio")


def _stated(config: Mapping[str, Any]) -> tuple[int, int, int]:
    channels, time_factor, space_factor = (config[name] for name in STATED)
    return channels, time_factor, space_factor


FAMILIES = {
    "AutoencoderKLWan": Family(_wan, by_time=True, patched=True, causal=True),
    "AutoencoderKLLTXVideo": Family(_ltx, causal=True),
}


class VaeCodec:
    """The codec of this module. Raises SpecError on a model that is not there or that it does not know.

    model: a folder, or a name on a hub that was downloaded before; of a whole pipeline its `vae` is taken.
    dtype: `auto` is the precision that most of the weights lie in, bf16 or fp32, on every device.
    device: `auto` is CUDA where there is one.
    normalise: false stores the posterior's mean as it is. memory_gb: what the model may hold while it works on one
    clip, weights included, None for MEMORY_GB; a larger clip is encoded in tiles, whose latents differ a little: `how`
    says which.
    """

    # Weights count, not where they lie; the fingerprint has the rest.
    aside: ClassVar[tuple[str, ...]] = ("model", "revision", "device", "dtype", "normalise")

    def __init__(
        self, model: str = "", revision: str | None = None, dtype: str = "auto", device: str = "auto",
        normalise: bool = True, memory_gb: float | None = None,
    ) -> None:  # fmt: skip
        if dtype not in DTYPES or not isinstance(normalise, bool):
            raise SpecError("vae: dtype is auto, bf16 or fp32, and normalise true or false")
        number = isinstance(memory_gb, int | float) and not isinstance(memory_gb, bool)
        if memory_gb is not None and not (number and memory_gb > 0):
            raise SpecError(f"vae: memory_gb is {memory_gb!r}, and must be a number above 0")
        if not isinstance(model, str) or not model:
            raise SpecError("vae: name a `model`: a folder, or a name on a hub that was downloaded before")
        try:
            require("torch", "vae")
            require("diffusers", "vae")
            self.folder = model_folder(model, revision, part="vae")
            self.dtype = weights_dtype(self.folder) if dtype == "auto" else dtype
        except (ModuleNotFoundError, ValueError) as error:
            raise SpecError(f"vae: {error}") from error
        self.class_name, self.family, shape = _known(self.folder)
        self.channels, self.time_factor, self.space_factor = shape
        self.device, self.normalise, self.memory_gb = device, normalise, memory_gb
        weights = folder_sha256(self.folder)
        described = json.dumps(["vae", VERSION, self.class_name, weights, self.dtype, normalise], separators=(",", ":"))
        self.fingerprint = "vae-" + hashlib.sha256(described.encode()).hexdigest()[:24]
        self._model: Any = None

    def described(self) -> dict[str, Any]:
        """What a dataset's card says of its latents: the model's class, and whether they are normalised."""
        return {
            "class": self.class_name, "posterior": "mean", "normalised": self.normalise, "dtype": self.dtype,
            "causal": self.family.causal,
        }  # fmt: skip

    def budget_gb(self, what: str) -> float:
        """Return how many 10^9 bytes the model may hold while it does `what`: `encode` or `decode`."""
        return float(MEMORY_GB[what] if self.memory_gb is None else self.memory_gb)

    def how(self, frames: int, height: int, width: int) -> str:
        """How a clip of this size is encoded: `whole` or `tiles of ... every ... px`, and the precision."""
        model = self._loaded(None)
        tiles = model.memory.tiles("encode", frames, height, width)
        return f"{'whole' if tiles is None else tiles}, {self.dtype}"

    def stats(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the mean and standard deviation of each channel that the model states, of the latents as given."""
        return self._loaded(None).stats()

    def encode(self, pixels_BCTHW: np.ndarray, alive: Callable[[], None] | None = None) -> np.ndarray:
        """Encode RGB pixels in [-1, 1] (B, 3, 1 + k * time_factor, H, W) to latents (B, channels, 1 + k, H', W').

        A clip's numbers do not depend on its neighbours in the batch. Raises InputRejected on other shapes, and
        where a clip does not fit into `memory_gb` or the device.
        """
        pixels_BCTHW = np.asarray(pixels_BCTHW, dtype=np.float32)
        check_pixels(pixels_BCTHW.shape, self.time_factor, self.space_factor)
        model = self._loaded(alive)
        return np.stack([model.encode(pixels_CTHW, alive) for pixels_CTHW in pixels_BCTHW])

    def encode_frames(self, frames_THWC: np.ndarray, alive: Callable[[], None] | None = None) -> np.ndarray:
        """Encode one clip's uint8 RGB frames (T, H, W, 3) to its latent (channels, t, h, w), float32."""
        pixels_THWC = frames_THWC.astype(np.float32)  # four times the bytes, and in place no more than that
        pixels_THWC /= 127.5
        pixels_THWC -= 1.0
        return self.encode(np.moveaxis(pixels_THWC, -1, 0)[None], alive)[0]

    def decode(self, latent_BCTHW: np.ndarray, alive: Callable[[], None] | None = None) -> np.ndarray:
        """Decode latents (B, channels, 1 + k, H', W') to RGB pixels (B, 3, 1 + k * time_factor, H, W), float32."""
        latent_BCTHW = np.asarray(latent_BCTHW, dtype=np.float32)
        check_latents(latent_BCTHW.shape, self.channels)
        model = self._loaded(alive)
        return np.stack([model.decode(latent_CTHW, alive) for latent_CTHW in latent_BCTHW])

    def _loaded(self, alive: Callable[[], None] | None) -> Any:
        if self._model is None:
            from curate.codecs._vae_model import VaeModel

            self._model = VaeModel(self, alive)
        return self._model


def _known(folder: Path) -> tuple[str, Family, tuple[int, int, int]]:
    """Class, family and (channels, time factor, space factor) of the model in a folder, from its config.json."""
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
        name = str(config["_class_name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"vae: {path} is no config of diffusers ({type(error).__name__}: {error})") from error
    family = FAMILIES.get(name)
    if family is None and name.startswith("AutoencoderKL") and all(isinstance(config.get(k), int) for k in STATED):
        family = Family(_stated)
    if family is None:
        raise SpecError(
            f"vae: {folder} holds a {name}, which is not supported. These are: {', '.join(FAMILIES)}, and any "
            f"AutoencoderKL... whose config states {', '.join(STATED)}"
        )
    try:
        shape = family.shape(config)
    except SpecError as error:
        raise SpecError(f"vae: {folder}: {error}") from error
    except TypeError as error:
        raise SpecError(f"vae: {path} states no sizes that can be read: {error}") from error
    if not all(isinstance(number, int) and number > 0 for number in shape):
        raise SpecError(f"vae: {path} gives {shape} as channels, time and space factor; whole numbers are needed")
    return name, family, shape
