"""Image classifiers of transformers, loaded from a folder: probabilities of their labels for square pictures."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from curate.models import BATCH


def labels_of(folder: Path) -> dict[str, int]:
    """Labels of a classifier and their places, out of its config. ValueError where it has none."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "id2label" not in config:
        raise ValueError(f"{folder} is no classifier: its config.json has no id2label")
    return {label: int(place) for place, label in config["id2label"].items()}


@cache
def _loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    model = AutoModelForImageClassification.from_pretrained(folder, use_safetensors=True, **options).eval()
    return model, AutoImageProcessor.from_pretrained(folder, **options)


def side_of(folder: Path) -> int:
    """Pixels a side that the model sees."""
    size = _loaded(folder)[1].size
    return int(size["height"] if "height" in size else size["shortest_edge"])


def probabilities(folder: Path, pictures_NHWC: np.ndarray) -> np.ndarray:
    """Probability of every label, (N, labels) float32: softmax, or each for itself where the model says multi-label."""
    import torch

    model, processor = _loaded(folder)
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures_NHWC), BATCH):
            batch = list(pictures_NHWC[start : start + BATCH])
            logits = model(**processor(images=batch, return_tensors="pt")).logits.float()
            alone = model.config.problem_type == "multi_label_classification"
            found.append((logits.sigmoid() if alone else logits.softmax(dim=-1)).numpy())
    return np.concatenate(found)
