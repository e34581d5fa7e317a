"""A head as one safetensors file: its arrays, and in the metadata all that it rests on.

category, kind, encoder (name, parameters, fingerprint), side of the pictures, digest of the labels, sha256 of the
policy, calibration, audit. `promoted` is set by `promote` alone; the screen refuses a head without it. A CNN's weights
travel in the same file.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import SpecError
from curate.store import write_atomic
from filters.heads.fit import Head

FORMAT = "rushes-head-1"
_CNN = "cnn/"  # prefix of the encoder's arrays


@dataclass(frozen=True)
class Artifact:
    """A head, what it rests on, and the encoder's own weights where it has any."""

    head: Head
    facts: dict[str, Any]
    network: dict[str, np.ndarray]

    @property
    def sha256(self) -> str:
        """Digest of what decides: the arrays, and facts that change a decision. An audit changes none."""
        digest = hashlib.sha256()
        for name, array in sorted(_arrays(self).items()):
            digest.update(f"{name} {array.dtype} {array.shape}\0".encode() + np.ascontiguousarray(array).tobytes())
        named = {key: self.facts[key] for key in ("category", "encoder", "labels", "policy")}
        digest.update(json.dumps([named, self.head.kind, self.head.gamma], sort_keys=True).encode())
        return digest.hexdigest()


def save(path: Path, artifact: Artifact) -> None:
    """Write a head, whole or not at all."""
    from safetensors.numpy import save as as_bytes

    head = artifact.head
    facts = {**artifact.facts, "format": FORMAT, "kind": head.kind, "gamma": head.gamma, "sha256": artifact.sha256}
    data = as_bytes(_arrays(artifact), metadata={"rushes": json.dumps(facts, sort_keys=True)})
    write_atomic(path, data, replace=True)


def _arrays(artifact: Artifact) -> dict[str, np.ndarray]:
    head = artifact.head
    arrays = {"mean": head.mean, "scale": head.scale, "vectors": head.vectors, "weights": head.weights,
              "bias": np.array([head.bias])}  # fmt: skip
    return {**arrays, **{_CNN + name: value for name, value in artifact.network.items()}}


def load(path: Path) -> Artifact:
    """Read a head.

    Raises:
        SpecError: the file is not there, is none, or was changed.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    try:
        data = path.read_bytes()
        arrays = from_bytes(data)
        (length,) = struct.unpack("<Q", data[:8])
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["rushes"])
    except (OSError, ValueError, KeyError, SafetensorError, struct.error) as error:
        raise SpecError(f"{path} is no head of `rushes head`: {error}") from error
    if facts.get("format") != FORMAT:
        raise SpecError(f"{path} is a head of another format ({facts.get('format')}); train it again")
    network = {name.removeprefix(_CNN): value for name, value in arrays.items() if name.startswith(_CNN)}
    head = Head(facts["kind"], arrays["mean"], arrays["scale"], arrays["vectors"], arrays["weights"],
                float(arrays["bias"][0]), float(facts["gamma"]))  # fmt: skip
    artifact = Artifact(head, facts, network)
    if artifact.sha256 != facts["sha256"]:
        raise SpecError(f"{path} was changed after it was written: promote the head again")
    return artifact
