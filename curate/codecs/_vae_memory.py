"""Whether a clip fits into a budget of memory, whole or in tiles, found out without computing.

A copy of the model runs on torch's meta device, where tensors have sizes and no numbers, and what it holds is counted.
The count is exact for what the model allocates itself; kernels' workspaces and the allocator's rounding come on top.
The clip's size, the precision and `memory_gb` decide alone, never what a device has free: every machine decides alike.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from curate.errors import InputRejected

if TYPE_CHECKING:
    from curate.codecs.vae import VaeCodec

# Frames in latent units after which every cache of an encoder that walks through time is full.
_STEADY = 3
_LEAST_TILE = 4  # latents on a side: with fewer there is more overlap than tile
# Of the pixels beyond what is counted: a clip that waits; what is decoded, joined; tiles that overlap, blended, joined.
_COPIES = {("encode", False): 1, ("encode", True): 1, ("decode", False): 2, ("decode", True): 5}


@dataclass(frozen=True)
class Tiles:
    """Square tiles, `side` by `side` pixels (of the model's own patches where it has them), one every `stride`."""

    side: int
    stride: int
    unit: int = 1  # pixels of a patch

    def __str__(self) -> str:
        return f"tiles of {self.side * self.unit} px every {self.stride * self.unit}"


class Memory:
    """The budget of a codec, and what its model needs of it."""

    def __init__(self, codec: VaeCodec, model: Any, dtype: Any) -> None:
        self._codec, self._model, self._dtype = codec, model, dtype
        self._patch = (model.config.get("patch_size") or 1) if codec.family.patched else 1
        self._meta: Any = None
        self._peaks: dict[tuple[Any, ...], int] = {}
        self._tiles: dict[tuple[str, int, int, int], Tiles | None] = {}

    def tiles(self, what: str, frames: int, height: int, width: int) -> Tiles | None:
        """The tiles in which a clip of this size is encoded or decoded, None for whole.

        Raises InputRejected where the smallest tiles do not fit into the budget either.
        """
        key = (what, frames, height, width)
        if key not in self._tiles:
            budget, needed = self._codec.budget_gb(what) * 1e9, 0
            for tiles in (None, *self._sizes(what, max(height, width))):
                needed = self.needs(what, frames, height, width, tiles)
                if needed <= budget:
                    break
            else:
                raise InputRejected(
                    "encode:memory",
                    f"{frames} frames of {width}x{height} need {needed / 1e9:.3g} GB, however small the tiles, and "
                    f"memory_gb is {self._codec.budget_gb(what):g}: raise it, or lower `short_side` or `max_frames`",
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
            return self._meta.decode(latent, *time_of(self._meta))

        key = (what, *latents, tiles)
        if key not in self._peaks:
            with tiled(self._meta, tiles):
                self._peaks[key] = peak_bytes(run)
        size = torch.empty((), dtype=self._dtype).element_size()
        waiting = 3 * (frames * height * width - some * high * wide) * size
        weights = sum(part.numel() for part in self._model.parameters()) * size
        patched = what == "encode" and self._patch > 1  # a second copy, in patches
        return self._peaks[key] + weights + waiting * (_COPIES[what, tiles is not None] + patched)


@contextmanager
def tiled(model: Any, tiles: Tiles | None) -> Iterator[None]:
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


def time_of(model: Any) -> tuple[Any, ...]:
    """What a decoder that denoises is told: time 0, as its pipeline's default is."""
    import torch

    if not model.config.get("timestep_conditioning"):
        return ()
    some = next(model.parameters())
    return (torch.zeros(1, device=some.device, dtype=some.dtype),)


def peak_bytes(run: Callable[[], Any]) -> int:
    """The most bytes of tensors that live at one moment while `run` makes and drops them."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    class Watch(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.live = self.most = 0
            self.held: dict[int, int] = {}

        def drop(self, storage: int) -> None:
            self.live -= self.held.pop(storage)

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            for tensor in tree_leaves(made):
                if isinstance(tensor, torch.Tensor):
                    storage = tensor.untyped_storage()
                    if storage._cdata not in self.held:  # a view holds nothing new
                        self.held[storage._cdata] = storage.nbytes()
                        self.live += storage.nbytes()
                        self.most = max(self.most, self.live)
                        weakref.finalize(storage, self.drop, storage._cdata)
            return made

    watch = Watch()
    with torch.no_grad(), watch:
        run()
    return watch.most
