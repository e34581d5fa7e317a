"""An export is opened by diffusers, which must give the same numbers as the model that was trained."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from curate.errors import RushesError
from trainer.dit import WanDit

# Largest difference of any number, in float32, where no number is above 1; a share of the largest where one is. The
# two sum in different orders: tiny models differ by 1e-6.
LIMIT = 1e-4
NOT_RUN = "not run (diffusers is not installed)"


def parity(folder: Path, dit: WanDit) -> dict[str, Any] | str:
    """Run one small input through `dit` and through diffusers' model of `folder`; return the largest difference.

    Where diffusers is missing, returns a sentence that says so. Raises RushesError above LIMIT.
    """
    if importlib.util.find_spec("diffusers") is None:
        return NOT_RUN
    latent_BCTHW, token_times_BL, text_BSF = _input(dit)
    with warnings.catch_warnings(), torch.no_grad():
        # diffusers' imports raise deprecation warnings of their own dependencies.
        warnings.simplefilter("ignore")
        from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

        theirs = WanTransformer3DModel.from_pretrained(folder, torch_dtype=torch.float32).eval()
        padding = max(0, dit.config.text_pad_to - text_BSF.shape[1])
        padded = torch.cat([text_BSF, text_BSF.new_zeros(1, padding, text_BSF.shape[2])], dim=1)
        wanted = theirs(latent_BCTHW, token_times_BL, padded).sample
        got = dit.float()(latent_BCTHW, token_times_BL, text_BSF)
    difference, limit = float((got - wanted).abs().max()), LIMIT * max(1.0, float(wanted.abs().max()))
    if not difference <= limit:
        raise RushesError(
            f"diffusers gives other numbers for the export in {folder}: {difference:.2e} above {limit:.2e}"
        )
    return {"max_difference": difference, "limit": limit, "diffusers": importlib.metadata.version("diffusers")}


def _input(dit: WanDit) -> tuple[Tensor, Tensor, Tensor]:
    """Return a latent of 2 x 2 x 3 tokens, a time for each of them (one of them 0), and a text of five words."""
    config, generator = dit.config, torch.Generator().manual_seed(0)
    _, height, width = config.patch_size
    latent = torch.randn(1, config.in_channels, 2, 2 * height, 3 * width, generator=generator)
    times = torch.linspace(0, 1000, 12)[None]
    return latent, times, torch.randn(1, 5, config.text_dim, generator=generator)
