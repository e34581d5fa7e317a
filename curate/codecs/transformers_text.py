"""Text features of an encoder of transformers: umT5, T5, the text model of CLIP, and whatever else AutoModel gives.

    encode: {text: {encoder: transformers, model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers}}

What is stored is the last hidden state at the text's own tokens: no padding, at least one row. What a plan needs to
know stands in small files beside the weights, so that torch and transformers are loaded by the process that encodes, at
its first text (curate/codecs/_text_model.py). Legend: L tokens, D features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from curate.errors import SpecError
from curate.extras import require
from curate.models import file_sha256, folder_sha256, model_folder, weights_dtype

VERSION = 1  # part of the fingerprint: raise it when the numbers change
DTYPES = ("auto", "bf16", "fp32")
MOST_TOKENS = 512  # unless the spec or the model says another number: what umT5 and T5 were trained with
_ENDLESS = 10**6  # tokenizers without a limit state an absurd one
_TOKENIZERS = ("tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json", "vocab.txt")


class TransformersTextEncoder:
    """The encoder of this module. Raises SpecError on a model that is not there, or cannot read `max_tokens`.

    model: a folder, or a name on a hub that was downloaded before; of a whole pipeline its `text_encoder` is taken with
    its `tokenizer`, or another `part`. max_tokens: a longer text is cut there, end mark included; None for 512, or what
    the model can read if that is less. dtype: `auto` is the precision that most of the weights lie in, bf16 or fp32, on
    every device. device: `auto` is CUDA where there is one. batch: texts at a time, those of similar length together.
    """

    aside: ClassVar[tuple[str, ...]] = ("model", "revision", "device", "batch", "dtype")  # the fingerprint has the rest

    def __init__(
        self, model: str = "", revision: str | None = None, part: str = "text_encoder", max_tokens: int | None = None,
        dtype: str = "auto", device: str = "auto", batch: int = 32,
    ) -> None:  # fmt: skip
        if dtype not in DTYPES:
            raise SpecError("transformers: dtype is auto, bf16 or fp32")
        for name, value in (("max_tokens", max_tokens), ("batch", batch)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise SpecError(f"transformers: {name} is {value!r}, and must be a whole number above 0")
        if not isinstance(model, str) or not model:
            raise SpecError("transformers: name a `model`: a folder, or a name on a hub that was downloaded before")
        try:
            require("transformers", "models")
            self.folder = model_folder(model, revision, part=part)
            self.tokenizer_folder = _tokenizer_folder(self.folder)
            self.dtype = weights_dtype(self.folder) if dtype == "auto" else dtype
        except (ModuleNotFoundError, ValueError) as error:
            raise SpecError(f"transformers: {error}") from error
        limit = _limit(self.folder, self.tokenizer_folder)
        if max_tokens is not None and limit is not None and max_tokens > limit:
            raise SpecError(f"transformers: max_tokens is {max_tokens}, and {model} reads at most {limit}")
        self.max_tokens = max_tokens or min(MOST_TOKENS, limit or MOST_TOKENS)
        self.device, self.batch = device, batch
        parts = [folder_sha256(self.folder), _tokenizer_sha256(self.tokenizer_folder)]
        described = json.dumps(["transformers", VERSION, *parts, self.max_tokens, self.dtype])
        self.fingerprint = "transformers-" + hashlib.sha256(described.encode()).hexdigest()[:24]

    def encode(self, texts: list[str], alive: Callable[[], None] | None = None) -> list[np.ndarray]:
        """Return features_LD, float32, for each text: the model's output at the text's own tokens, L at least 1.

        A text's numbers do not depend on its neighbours, but for the last bits of a matrix product. Raises
        InputRejected where they are not finite, StageCrashed where the model cannot be loaded or its device used.
        """
        from curate.beating import beating
        from curate.codecs._text_model import text_model

        tell = alive or _nothing
        with beating(tell):
            model = text_model(self.folder, self.tokenizer_folder, self.dtype, self.device)
        return model.encode(texts, self.max_tokens, self.batch, tell)


def _nothing() -> None:
    """Nobody waits for a sign of life."""


def _tokenizer_folder(folder: Path) -> Path:
    """Where an encoder's tokenizer lies: beside its weights, or in a pipeline's `tokenizer`. ValueError where not."""
    for place in (folder, folder.parent / folder.name.replace("text_encoder", "tokenizer")):
        if any((place / name).is_file() for name in _TOKENIZERS):
            return place
    raise ValueError(f"{folder} holds no tokenizer ({', '.join(_TOKENIZERS)})")


def _limit(folder: Path, tokenizer: Path) -> int | None:
    """Most tokens that a model can read: the positions that it has, else what its tokenizer says; None for any."""
    config = _json(folder / "config.json")
    text = config.get("text_config") or config
    said = text.get("max_position_embeddings") or _json(tokenizer / "tokenizer_config.json").get("model_max_length")
    return int(said) if said and said < _ENDLESS else None


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise SpecError(f"transformers: {path} cannot be read ({error})") from error


def _tokenizer_sha256(folder: Path) -> str:
    """Digest of everything that a tokenizer may be made from, by name."""
    digest = hashlib.sha256()
    for path in sorted(path for kind in ("*.json", "*.model", "*.txt") for path in folder.glob(kind)):
        digest.update(f"{path.name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()
