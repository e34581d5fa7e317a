"""Prompts of the zero-shot screen: texts by category, and their features by a CLIP model."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from curate.clip_model import text_features

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
def prompt_features(folder: Path, texts: tuple[str, ...]) -> np.ndarray:
    """Features of prompts, (N, D) float32 of unit length; computed once a process."""
    return text_features(folder, texts)
