"""NudeNet's detector: its weights come in its wheel (AGPL-3.0, hence the extra), on ONNX Runtime, one thread.

(H, W, 3) uint8 RGB. The package is given BGR, as it reads files; its version 3.4.2 turns that round once more than its
model seems to want (`python -m benchmarks.nudenet --swapped` counts more faces so), but what it gives is what its users
know.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

# What each class counts for, and why. Classes that name faces, feet, armpits and bellies say nothing here.
EXPLICIT = ("ANUS_EXPOSED", "FEMALE_BREAST_EXPOSED", "FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED")
# Covered, but shown such that a detector of nudity sees them; bare buttocks are common on beaches and stages.
SUGGESTIVE = ("ANUS_COVERED", "BUTTOCKS_EXPOSED", "FEMALE_BREAST_COVERED", "FEMALE_GENITALIA_COVERED")
CLASSES = (*EXPLICIT, *SUGGESTIVE)


def weights() -> Path:
    """The model file in the package; the package itself is not imported."""
    spec = find_spec("nudenet")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "320n.onnx"


@cache
def weights_sha256() -> str:
    """Digest of the model file."""
    return sha256(weights().read_bytes()).hexdigest()


@cache
def _detector() -> Any:
    import onnxruntime
    from nudenet import NudeDetector

    detector = NudeDetector()
    options = onnxruntime.SessionOptions()  # the package's own session takes every core of the machine
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    detector.onnx_session = onnxruntime.InferenceSession(str(weights()), options, providers=["CPUExecutionProvider"])
    return detector


def scores(picture_HWC: np.ndarray) -> dict[str, float]:
    """The highest score of each of `CLASSES` that NudeNet detects in a picture, 0 where it detects none."""
    found: dict[str, float] = dict.fromkeys(CLASSES, 0.0)
    for detection in _detector().detect(np.ascontiguousarray(picture_HWC[..., ::-1])):  # BGR, as it reads files
        name = detection["class"]
        if name in found:
            found[name] = max(found[name], float(detection["score"]))
    return found
