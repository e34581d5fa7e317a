"""A loaded video autoencoder: one clip at a time, within a memory budget, whole or in the tiles of its own class.

Only safetensors are read. Legend: C colours or channels, T frames, H, W.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.beating import beating
from curate.codecs._vae_memory import Memory, Tiles, tiled, time_of
from curate.errors import InputRejected, StageCrashed
from curate.models import device_of

if TYPE_CHECKING:
    from curate.codecs.vae import VaeCodec

# What torch says where memory ends; the last is how oneDNN puts it.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "could not create a primitive")


class VaeModel:
    """The model of a codec on its device. Raises StageCrashed where it cannot be loaded."""

    def __init__(self, codec: VaeCodec, alive: Callable[[], None] | None) -> None:
        import torch

        self._codec = codec
        self._device = torch.device(device_of(codec.device, "encode"))
        self._dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[codec.dtype]
        with beating(alive or _nothing):
            self._model = _load(codec, self._dtype).to(self._device)
        self._mean_C, self._std_C, self._scale = self._statistics()
        self.memory = Memory(codec, self._model, self._dtype)
        self._alive = alive or _nothing
        for part in self._model.modules():
            if not list(part.children()):  # between two layers, whoever walks through time or tiles
                part.register_forward_pre_hook(lambda *_: self._alive())

    def encode(self, pixels_CTHW: np.ndarray, alive: Callable[[], None] | None) -> np.ndarray:
        """The posterior's mean of a clip, normalised if so wanted, float32."""
        import torch

        _, frames, height, width = pixels_CTHW.shape
        tiles = self.memory.tiles("encode", frames, height, width)
        with self._working("encode", tiles, alive), torch.inference_mode():
            pixels = torch.from_numpy(pixels_CTHW[None]).to(self._device, self._dtype)
            latent_CTHW = self._model.encode(pixels).latent_dist.mode()[0].float()
            if self._codec.normalise:
                latent_CTHW = (latent_CTHW - self._mean_C) / self._std_C * self._scale
            found = latent_CTHW.cpu().numpy()
        codec = self._codec
        law = (codec.channels, 1 + (frames - 1) // codec.time_factor, height // codec.space_factor)
        if found.shape != (*law, width // codec.space_factor):
            raise StageCrashed(
                "encode:law", f"{codec.class_name} made {found.shape} of {pixels_CTHW.shape}: its config says otherwise"
            )
        return found

    def decode(self, latent_CTHW: np.ndarray, alive: Callable[[], None] | None) -> np.ndarray:
        """The pixels of a latent, float32."""
        import torch

        codec, (_, frames, height, width) = self._codec, latent_CTHW.shape
        tiles = self.memory.tiles(
            "decode", 1 + (frames - 1) * codec.time_factor, height * codec.space_factor, width * codec.space_factor
        )
        # A decoder that draws noise by itself draws the same for every clip: equal latents, equal pixels.
        rng = torch.random.fork_rng(devices=self._devices())
        with self._working("decode", tiles, alive), torch.inference_mode(), rng:
            torch.manual_seed(0)
            latent = torch.from_numpy(np.ascontiguousarray(latent_CTHW)).to(self._device)
            if codec.normalise:
                latent = latent / self._scale * self._std_C + self._mean_C
            given = (latent[None].to(self._dtype), *time_of(self._model))
            return self._model.decode(*given).sample[0].float().cpu().numpy()

    def stats(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of each channel, of latents as `encode` gives them."""
        mean_C, std_C = (part.expand(self._codec.channels, 1, 1, 1).flatten() for part in (self._mean_C, self._std_C))
        if self._codec.normalise:
            mean_C, std_C = mean_C * 0.0, std_C * 0.0 + 1.0
        else:
            std_C = std_C / self._scale
        return mean_C.cpu().numpy(), std_C.cpu().numpy()

    def _statistics(self) -> tuple[Any, Any, float]:
        """What the model's pipeline normalises by: (C, 1, 1, 1) of mean and standard deviation, and a factor."""
        import torch

        config, found = self._model.config, []
        for name, nothing in (("latents_mean", 0.0), ("latents_std", 1.0)):
            values = _stored(self._codec.folder, name)  # LTX keeps them with its weights
            values = config.get(name) if values is None else values
            found.append(torch.as_tensor(nothing if values is None else values, dtype=torch.float32))
        factor = config.get("scaling_factor")
        of_frames = any(part.numel() not in (1, self._codec.channels) for part in found)  # Cosmos: of each latent frame
        if self._codec.normalise and (of_frames or config.get("shift_factor")):
            raise StageCrashed(
                "encode:normalise",
                f"{self._codec.class_name} states statistics that are not one of each channel; say `normalise: false`",
            )
        if self._codec.normalise and factor is None and all(part.ndim == 0 for part in found):
            raise StageCrashed(
                "encode:normalise", f"{self._codec.class_name} states no statistics; say `normalise: false`"
            )
        mean_C, std_C = (part.reshape(-1, 1, 1, 1).to(self._device) for part in found)
        return mean_C, std_C, 1.0 if factor is None else float(factor)

    @contextmanager
    def _working(self, what: str, tiles: Tiles | None, alive: Callable[[], None] | None) -> Iterator[None]:
        """The model set for these tiles; what does not fit into memory is this clip's fault alone."""
        import torch

        self._alive = alive or _nothing
        try:
            with tiled(self._model, tiles):
                yield
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and not any(s in str(error).lower() for s in _NO_MEMORY):
                raise
            said, budget = str(error).partition("\n")[0][:200], self._codec.budget_gb(what)
            raise InputRejected(
                "encode:memory", f"memory ended before memory_gb ({budget:g}) did: lower it ({said})"
            ) from error
        finally:
            self._alive = _nothing

    def _devices(self) -> list[Any]:
        return [self._device] if self._device.type == "cuda" else []


def _load(codec: VaeCodec, dtype: Any) -> Any:
    """The model, for use. Weights that are missing or left over are refused: diffusers would make them up."""
    import diffusers

    made = getattr(diffusers, codec.class_name, None)
    if made is None:
        raise StageCrashed("encode:model", f"diffusers {diffusers.__version__} has no {codec.class_name}: upgrade it")
    try:
        model, said = made.from_pretrained(
            codec.folder, torch_dtype=dtype, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False,
            output_loading_info=True,
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise StageCrashed("encode:model", f"{codec.folder} cannot be loaded: {error}") from error
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if said.get(what):
            raise StageCrashed("encode:model", f"{codec.folder}: {what.replace('_', ' ')}: {sorted(said[what])[:3]}")
    return model.eval()


def _stored(folder: Path, name: str) -> Any:
    """The tensor of this name among the weights, in the precision in which it lies there, or None."""
    from safetensors import safe_open

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            if name in file.keys():  # noqa: SIM118 it is no mapping
                return file.get_tensor(name)
    return None


def _nothing() -> None:
    """Nobody waits for a sign of life."""
