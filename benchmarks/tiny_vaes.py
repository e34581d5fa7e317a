"""Small video autoencoders of real architectures with random weights, saved as a hub's are.

They stand in for weights of a hub and are loaded through the same path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def wan(folder: Path, seed: int = 0, width: int = 8, **config: Any) -> Path:
    """Wan 2.1's: 4 x 8 x 8, four channels, statistics in its config. With `patch_size: 2` it is of Wan 2.2's kind."""
    from diffusers import AutoencoderKLWan

    plain = {
        "base_dim": width, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1,
        "temperal_downsample": [False, True, True], "latents_mean": [0.1, -0.2, 0.3, -0.4],
        "latents_std": [0.5, 0.6, 0.7, 0.8],
    }  # fmt: skip
    return _saved(AutoencoderKLWan, {**plain, **config}, folder, seed)


def ltx(folder: Path, seed: int = 0, width: int = 8, **config: Any) -> Path:
    """LTX-Video's: 8 x 32 x 32, eight channels, statistics with its weights."""
    from diffusers import AutoencoderKLLTXVideo

    plain = {
        "latent_channels": 8, "block_out_channels": (width,) * 4, "decoder_block_out_channels": (width,) * 4,
        "layers_per_block": (1,) * 5, "decoder_layers_per_block": (1,) * 5, "scaling_factor": 0.9,
    }  # fmt: skip
    return _saved(AutoencoderKLLTXVideo, {**plain, **config}, folder, seed)


def ltx095(folder: Path, seed: int = 0) -> Path:
    """LTX-Video's from 0.9.5 on: its sizes stated, and a decoder that denoises."""
    config = {
        "block_out_channels": (8, 16, 32, 64, 64), "down_block_types": ("LTXVideo095DownBlock3D",) * 4,
        "downsample_type": ("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        "spatio_temporal_scaling": (True,) * 4, "spatial_compression_ratio": 32, "temporal_compression_ratio": 8,
        "decoder_block_out_channels": (8, 16, 32), "decoder_spatio_temporal_scaling": (True,) * 3,
        "decoder_layers_per_block": (1,) * 4, "decoder_inject_noise": (False,) * 4, "upsample_residual": (True,) * 3,
        "upsample_factor": (2,) * 3, "timestep_conditioning": True,
    }  # fmt: skip
    return ltx(folder, seed, **config)


def hunyuan(folder: Path, seed: int = 0) -> Path:
    """HunyuanVideo's: 4 x 8 x 8, four channels, its sizes stated in its config."""
    from diffusers import AutoencoderKLHunyuanVideo

    kinds = {"down_block_types": ("HunyuanVideoDownBlock3D",) * 4, "up_block_types": ("HunyuanVideoUpBlock3D",) * 4}
    config = {"latent_channels": 4, "block_out_channels": (8, 8, 8, 8), "layers_per_block": 1, "norm_num_groups": 4}
    return _saved(AutoencoderKLHunyuanVideo, {**config, **kinds}, folder, seed)


def _saved(made: Any, config: dict[str, Any], folder: Path, seed: int) -> Path:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = made(**config)
        kept = dict(model.named_buffers())
        if "latents_mean" in kept:
            kept["latents_mean"].copy_(torch.randn_like(kept["latents_mean"]) / 4)
            kept["latents_std"].copy_(torch.rand_like(kept["latents_std"]) + 0.5)
        model.save_pretrained(folder)
    return folder
