"""A loaded video autoencoder: one clip at a time, within a memory budget, whole or in the tiles of its own class.

Which tiles is decided by the clip's size and `memory_gb` alone, never by what a device has free, so that it is the same
on every machine. Only safetensors are read. Legend: C colours or channels, T frames, H, W.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curate.codecs._vae_memory import peak_bytes
from curate.errors import InputRejected, StageCrashed
from curate.models import beating, device_of

if TYPE_CHECKING:
    from curate.codecs.vae import VaeCodec

# Frames in latent units after which every cache of an encoder that walks through time is full.
_STEADY = 3
_LEAST_TILE = 4  # latents on a side: with fewer there is more overlap than tile
# Of the pixels beyond what is counted: a clip that waits; what is decoded, joined; tiles that overlap, blended, joined.
_COPIES = {("encode", False): 1, ("encode", True): 1, ("decode", False): 2, ("decode", True): 5}
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


@dataclass(frozen=True)
class Tiles:
    """Square tiles, `side` by `side` pixels (of the model's own patches where it has them), one every `stride`."""

    side: int
    stride: int
    unit: int = 1  # pixels of a patch

    def __str__(self) -> str:
        return f"tiles of {self.side * self.unit} px every {self.stride * self.unit}"


class VaeModel:
    """The model of a codec on its device. Raises StageCrashed where it cannot be loaded."""

    def __init__(self, codec: VaeCodec, alive: Callable[[], None] | None) -> None:
        import torch

        self._codec = codec
        self._device = torch.device(device_of(codec.device, "encode"))
        self.dtype_name = codec.dtype
        if codec.dtype == "auto":
            self.dtype_name = "bf16" if self._device.type == "cuda" else "fp32"
        self._dtype = {"bf16": torch.bfloat16, "fp32": torch.float32}[self.dtype_name]
        with beating(alive or _nothing):
            self._model = _load(codec, self._dtype).to(self._device)
        self._mean_C, self._std_C, self._scale = self._statistics()
        self._patch = (self._model.config.get("patch_size") or 1) if codec.family.patched else 1
        self._alive = alive or _nothing
        for part in self._model.modules():
            if not list(part.children()):  # between two layers, whoever walks through time or tiles
                part.register_forward_pre_hook(lambda *_: self._alive())
        self._meta: Any = None
        self._tiles: dict[tuple[str, int, int, int], Tiles | None] = {}

    # -- numbers -----------------------------------------------------------------------------------------------

    def encode(self, pixels_CTHW: np.ndarray, alive: Callable[[], None] | None) -> np.ndarray:
        """The posterior's mean of a clip, normalised if so wanted, float32."""
        import torch

        _, frames, height, width = pixels_CTHW.shape
        tiles = self.tiles("encode", frames, height, width)
        with self._working(tiles, alive), torch.inference_mode():
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
        tiles = self.tiles(
            "decode", 1 + (frames - 1) * codec.time_factor, height * codec.space_factor, width * codec.space_factor
        )
        # A decoder that draws noise by itself draws the same for every clip: equal latents, equal pixels.
        with self._working(tiles, alive), torch.inference_mode(), torch.random.fork_rng(devices=self._devices()):
            torch.manual_seed(0)
            latent = torch.from_numpy(np.ascontiguousarray(latent_CTHW)).to(self._device)
            if codec.normalise:
                latent = latent / self._scale * self._std_C + self._mean_C
            given = (latent[None].to(self._dtype), *self._time(self._model))
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
        if self._codec.normalise and factor is None and all(part.ndim == 0 for part in found):
            raise StageCrashed(
                "encode:normalise", f"{self._codec.class_name} states no statistics; say `normalise: false`"
            )
        mean_C, std_C = (part.reshape(-1, 1, 1, 1).to(self._device) for part in found)
        return mean_C, std_C, 1.0 if factor is None else float(factor)

    def _time(self, model: Any) -> tuple[Any, ...]:
        """What a decoder that denoises is told: time 0, as its pipeline's default is."""
        import torch

        if not model.config.get("timestep_conditioning"):
            return ()
        return (torch.zeros(1, device=next(model.parameters()).device, dtype=self._dtype),)

    # -- memory ------------------------------------------------------------------------------------------------

    def tiles(self, what: str, frames: int, height: int, width: int) -> Tiles | None:
        """The tiles in which a clip of this size is encoded or decoded, None for whole.

        Raises InputRejected where the smallest tiles do not fit into the budget either.
        """
        key = (what, frames, height, width)
        if key not in self._tiles:
            budget, needed = self._codec.memory_gb * 1e9, 0
            for tiles in (None, *self._sizes(what, max(height, width))):
                needed = self.needs(what, frames, height, width, tiles)
                if needed <= budget:
                    break
            else:
                raise InputRejected(
                    "encode:memory",
                    f"{frames} frames of {width}x{height} need {needed / 1e9:.3g} GB, however small the tiles, and "
                    f"memory_gb is {self._codec.memory_gb:g}: raise it, or lower `short_side` or `max_frames`",
                )
            self._tiles[key] = tiles
        return self._tiles[key]

    def _sizes(self, what: str, long_side: int) -> Iterator[Tiles]:
        """Tiles of the class's own size and overlap, then smaller ones; none where one tile would be the whole."""
        first, stride = (getattr(self._model, f"tile_sample_{name}_height", None) for name in ("min", "stride"))
        if first is None or stride is None:
            return
        unit, patch = self._codec.space_factor, self._patch if what == "encode" else 1
        side = int(first)
        while side >= _LEAST_TILE * unit:
            if side * patch < long_side:
                yield Tiles(side, max(unit, side * int(stride) // int(first) // unit * unit), patch)
            side = side // 2 // unit * unit

    def needs(self, what: str, frames: int, height: int, width: int, tiles: Tiles | None) -> int:
        """Bytes that the model holds at most while it works on a clip: weights, pixels and what lies between.

        Counted on a few frames and two tiles a side, since what the rest adds are pixels.
        """
        import torch

        if self._meta is None:
            with torch.device("meta"):
                self._meta = type(self._model).from_config(dict(self._model.config)).eval()
            for part in (*self._meta.parameters(), *self._meta.buffers()):
                part.data = part.data.to(self._dtype)
        codec = self._codec
        some = min(frames, 1 + (_STEADY - 1) * codec.time_factor) if codec.family.by_time else frames
        high, wide = height, width
        if tiles is not None:  # two tiles in a row are as many as are worked on and blended
            high, wide = (min(side, 2 * tiles.side * tiles.unit) for side in (height, width))
        latents = (1 + (some - 1) // codec.time_factor, high // codec.space_factor, wide // codec.space_factor)

        def run() -> Any:
            if what == "encode":
                return self._meta.encode(torch.empty((1, 3, some, high, wide), dtype=self._dtype, device="meta"))
            latent = torch.empty((1, codec.channels, *latents), dtype=self._dtype, device="meta")
            return self._meta.decode(latent, *self._time(self._meta))

        with _tiled(self._meta, tiles):
            most = peak_bytes(run)
        size = torch.empty((), dtype=self._dtype).element_size()
        waiting = 3 * (frames * height * width - some * high * wide) * size
        weights = sum(part.numel() for part in self._model.parameters()) * size
        patched = what == "encode" and self._patch > 1  # a second copy, in patches
        return most + weights + waiting * (_COPIES[what, tiles is not None] + patched)

    @contextmanager
    def _working(self, tiles: Tiles | None, alive: Callable[[], None] | None) -> Iterator[None]:
        """The model set for these tiles; what does not fit into memory is this clip's fault alone."""
        import torch

        self._alive = alive or _nothing
        try:
            with _tiled(self._model, tiles):
                yield
        except RuntimeError as error:
            if not isinstance(error, torch.OutOfMemoryError) and not any(s in str(error).lower() for s in _NO_MEMORY):
                raise
            raise InputRejected(
                "encode:memory", f"the device has no {self._codec.memory_gb:g} GB free: lower memory_gb ({error})"
            ) from error
        finally:
            self._alive = _nothing

    def _devices(self) -> list[Any]:
        return [self._device] if self._device.type == "cuda" else []


@contextmanager
def _tiled(model: Any, tiles: Tiles | None) -> Iterator[None]:
    """A model that tiles so, or not at all; afterwards it is what it was."""
    before = copy.copy(model.__dict__)
    try:
        model.use_tiling = tiles is not None
        # Classes that cut time into blended pieces of their own accord are asked not to: pieces differ from the whole.
        for name in ("use_framewise_encoding", "use_framewise_decoding"):
            if name in before:
                setattr(model, name, False)
        if tiles is not None:
            for axis in ("height", "width"):
                setattr(model, f"tile_sample_min_{axis}", tiles.side)
                setattr(model, f"tile_sample_stride_{axis}", tiles.stride)
        yield
    finally:
        for name in before:
            if name.startswith(("use_", "tile_sample_")):
                model.__dict__[name] = before[name]


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
