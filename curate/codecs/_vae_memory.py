"""How many bytes of tensors a model holds at once, found out without computing: the model runs on torch's meta device.

Exact for what the model allocates itself; kernels' own workspaces and the allocator's rounding come on top.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any


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
