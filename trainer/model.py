"""What is trained: the transformer, and the refiner in front of its text."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from trainer.dit import WanDit
from trainer.grid import with_coordinates
from trainer.packed import PackedClip, model_packed
from trainer.refiner import Refiner


class Model(nn.Module):
    """The transformer and the refiner in front of its text, trained together."""

    def __init__(self, dit: WanDit, refiner: Refiner) -> None:
        super().__init__()
        self.dit, self.refiner = dit, refiner

    def forward(
        self, x_BCTHW: Tensor, timestep_BK: Tensor, text_BSF: Tensor, bias_BS: Tensor, index_BL: Tensor | None = None
    ) -> Tensor:
        if self.dit.config.in_channels > self.dit.config.out_channels:
            x_BCTHW = with_coordinates(x_BCTHW)
        return self.dit(x_BCTHW, timestep_BK, self.refiner(text_BSF, bias_BS), bias_BS, index_BL)

    def packed(self, clips: Sequence[PackedClip]) -> list[Tensor]:
        """Return the prediction for each clip of a pack, in one pass (packed.py)."""
        return [out.clone() for out in model_packed(self, clips)]  # no views: FSDP2 hooks what comes out
