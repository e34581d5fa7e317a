"""Frozen features of pictures. An encoder is small enough to run over everything, and never trained with its head.

`gist` is the layout of a picture: colours and gradients of a 4x4 grid. `cnn` is a small convolutional network that is
trained on the labels at hand and then frozen; it keeps the maximum over positions, so a small mark is not averaged
away. `open_clip` is a CLIP model from a folder.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

import numpy as np

from curate.errors import SpecError
from curate.registry import nearest
from filters.gist import SIDE, describe
from filters.gist import Gist as Layout
from filters.heads.artifact import Artifact

NAMES = ("gist", "cnn", "open_clip")


class Encoder(Protocol):
    """Features of square pictures of `side` pixels."""

    name: str
    side: int
    fingerprint: str

    def encode(self, pictures_NHWC: np.ndarray) -> np.ndarray:
        """(N, D) float32 of (N, side, side, 3) uint8 RGB."""
        ...


class Gist:
    """Layout of colours and gradients (filters/gist.py)."""

    name, side = "gist", SIDE
    fingerprint = f"gist-{Layout.version}"

    def encode(self, pictures_NHWC: np.ndarray) -> np.ndarray:
        """(N, 176) float32."""
        return np.stack([describe(picture) for picture in pictures_NHWC])


class Cnn:
    """A network of `filters.heads.cnn`, by its weights."""

    name = "cnn"

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        from filters.heads import cnn

        self.weights = weights
        self._network = cnn.load(weights)
        self.side = cnn.SIDE
        digest = hashlib.sha256()
        for name, value in sorted(weights.items()):
            digest.update(name.encode() + np.ascontiguousarray(value).tobytes())
        self.fingerprint = f"cnn-{digest.hexdigest()}"

    def encode(self, pictures_NHWC: np.ndarray) -> np.ndarray:
        """(N, 64) float32: the strongest response of each filter anywhere in the picture."""
        from filters.heads import cnn

        return cnn.features(self._network, pictures_NHWC)


class OpenClip:
    """The image tower of a CLIP model (curate/clip_model.py)."""

    name = "open_clip"

    def __init__(self, model: str) -> None:
        from curate import clip_model
        from curate.models import folder_sha256, model_folder

        try:
            self._folder = model_folder(model)
        except ValueError as error:
            raise SpecError(f"encoder open_clip: {error}") from error
        self.side = clip_model.side_of(self._folder)
        self.fingerprint = f"open_clip-{folder_sha256(self._folder)}"

    def encode(self, pictures_NHWC: np.ndarray) -> np.ndarray:
        """(N, D) float32 of unit length."""
        from curate.clip_model import square_features

        return square_features(self._folder, pictures_NHWC)


def encoder(name: str, params: dict[str, Any], weights: dict[str, np.ndarray] | None = None) -> Encoder:
    """The encoder of this name: `gist` takes nothing, `open_clip` a `model`, `cnn` the weights of its network."""
    if name == "gist":
        return Gist()
    if name == "cnn":
        if not weights:
            raise SpecError("the encoder cnn comes with a head that was trained with it; name gist or open_clip here")
        return Cnn(weights)
    if name == "open_clip":
        return OpenClip(params["model"])
    raise SpecError(f"unknown encoder {name!r}; {nearest(name, NAMES)}")


def of_artifact(artifact: Artifact) -> Encoder:
    """The encoder that a head was made on.

    Raises:
        SpecError: it has other weights now.
    """
    said = artifact.facts["encoder"]
    found = encoder(said["name"], said["params"], artifact.network)
    if found.fingerprint != said["fingerprint"]:
        raise SpecError(
            f"the encoder {said['name']} has other weights than when the head was made: train the head again"
        )
    return found
