"""CLIP models of open_clip, loaded from a folder: features of pictures and of texts, whose dot product is their cosine.

A folder is as open_clip's own on a hub: open_clip_config.json, one *.safetensors, and a tokenizer if it has its own.
Needs the extra `clip`. Legend: N pictures or texts, D features.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import SpecError
from curate.extras import require
from curate.models import BATCH, model_folder


def clip_folder(model: str) -> Path:
    """The folder of a model, by folder or by name if it was downloaded; nothing is loaded.

    Raises:
        SpecError: it is not there, it is none of open_clip, or open_clip is not installed.
    """
    try:
        require("open_clip", "clip")
        folder = model_folder(model)
    except (ModuleNotFoundError, ValueError) as error:
        raise SpecError(str(error)) from error
    if not (folder / "open_clip_config.json").is_file():
        raise SpecError(f"{folder} holds no open_clip_config.json, so it is no model of open_clip")
    return folder


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    import open_clip

    name = f"local-dir:{folder}"
    model = open_clip.create_model(name, precision="fp32", device="cpu").eval()
    return model, open_clip.get_tokenizer(name)


def load(folder: Path) -> None:
    """Load a model, so that the next call finds it. SpecError where open_clip can make nothing of the folder."""
    try:
        _loaded(folder)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise SpecError(f"{folder} is no model that open_clip can load: {error}") from error


def side_of(folder: Path) -> int:
    """Pixels a side that the model sees."""
    size = _loaded(folder)[0].visual.image_size
    return int(size if isinstance(size, int) else size[0])


def text_features(folder: Path, texts: Sequence[str]) -> np.ndarray:
    """Features of texts, (N, D) float32 of unit length. A text longer than the model reads is cut by its tokenizer."""
    import torch

    model, tokenizer = _loaded(folder)
    found = []
    with torch.inference_mode():
        for start in range(0, len(texts), BATCH):
            tokens = tokenizer(list(texts[start : start + BATCH]))
            found.append(model.encode_text(tokens, normalize=True).float().numpy())
    return np.concatenate(found)


def is_cut(folder: Path, text: str) -> bool:
    """Whether a text fills all that the model reads, or more: one word after it would change nothing."""
    _, tokenizer = _loaded(folder)
    tokens = tokenizer([text, f"{text} end"])
    return bool((tokens[0] == tokens[1]).all())


def square_features(folder: Path, pictures_NHWC: np.ndarray) -> np.ndarray:
    """Features of (N, side, side, 3) uint8 RGB pictures, (N, D) float32 of unit length."""
    import torch

    model, _ = _loaded(folder)
    mean, std = (torch.tensor(getattr(model.visual, name))[:, None, None] for name in ("image_mean", "image_std"))
    batches = (pictures_NHWC[start : start + BATCH] for start in range(0, len(pictures_NHWC), BATCH))
    levels = (torch.from_numpy(np.ascontiguousarray(batch)).permute(0, 3, 1, 2).float() / 255 for batch in batches)
    return _encoded(model, ((batch - mean) / std for batch in levels))


def picture_features(folder: Path, pictures_NHWC: np.ndarray) -> np.ndarray:
    """Features of (N, H, W, 3) uint8 RGB pictures of any size, (N, D) float32 of unit length.

    They are made ready as open_clip does for this model: commonly the shorter side is scaled, and the middle cut out.
    """
    import torch
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from PIL import Image

    model, _ = _loaded(folder)
    ready: Any = image_transform_v2(PreprocessCfg(**model.visual.preprocess_cfg), is_train=False)
    batches = (pictures_NHWC[start : start + BATCH] for start in range(0, len(pictures_NHWC), BATCH))
    return _encoded(model, (torch.stack([ready(Image.fromarray(picture)) for picture in batch]) for batch in batches))


def _encoded(model: Any, batches: Iterable[Any]) -> np.ndarray:
    """Features of batches of (N, 3, side, side) float pictures."""
    import torch

    with torch.inference_mode():
        return np.concatenate([model.encode_image(batch, normalize=True).float().numpy() for batch in batches])


def temperature(folder: Path) -> float:
    """What the model multiplies a cosine with before it compares: its logit scale."""
    return float(_loaded(folder)[0].logit_scale.detach().exp())
