"""CLIP models of open_clip, loaded from a folder: how well square pictures fit texts.

A folder is as open_clip's own on a hub: open_clip_config.json, one *.safetensors, and a tokenizer if it has its own.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from curate.models import BATCH

PROMPTS = Path(__file__).parent / "policy" / "prompts.yaml"
NEUTRAL = "neutral"


def read_prompts(path: Path) -> dict[str, tuple[str, ...]]:
    """Prompts by category, `neutral` among them. ValueError where the file is none."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"prompts {path} cannot be read: {error}") from error
    if not isinstance(raw, dict) or not all(isinstance(v, list) and v for v in raw.values()) or NEUTRAL not in raw:
        raise ValueError(f"prompts {path}: lists of texts by category are needed, `{NEUTRAL}` among them")
    return {name: tuple(map(str, texts)) for name, texts in raw.items()}


def prompts_sha256(prompts: dict[str, tuple[str, ...]]) -> str:
    """Digest of what a set of prompts says."""
    return hashlib.sha256(repr(sorted(prompts.items())).encode()).hexdigest()


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    import open_clip

    name = f"local-dir:{folder}"
    model = open_clip.create_model(name, precision="fp32", device="cpu").eval()
    return model, open_clip.get_tokenizer(name)


def side_of(folder: Path) -> int:
    """Pixels a side that the model sees."""
    size = _loaded(folder)[0].visual.image_size
    return int(size if isinstance(size, int) else size[0])


@cache
def text_features(folder: Path, texts: tuple[str, ...]) -> np.ndarray:
    """Features of texts, (N, D) float32 of unit length."""
    import torch

    model, tokenizer = _loaded(folder)
    with torch.inference_mode():
        return model.encode_text(tokenizer(list(texts)), normalize=True).float().numpy()


def image_features(folder: Path, pictures_NHWC: np.ndarray) -> np.ndarray:
    """Features of (N, side, side, 3) uint8 RGB pictures, (N, D) float32 of unit length."""
    import torch

    model, _ = _loaded(folder)
    mean, std = (torch.tensor(getattr(model.visual, name))[:, None, None] for name in ("image_mean", "image_std"))
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures_NHWC), BATCH):
            batch = torch.from_numpy(np.ascontiguousarray(pictures_NHWC[start : start + BATCH]))
            levels = (batch.permute(0, 3, 1, 2).float() / 255 - mean) / std
            found.append(model.encode_image(levels, normalize=True).float().numpy())
    return np.concatenate(found)


def temperature(folder: Path) -> float:
    """What the model multiplies a cosine with before it compares: its logit scale."""
    return float(_loaded(folder)[0].logit_scale.detach().exp())
