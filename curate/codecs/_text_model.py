"""A loaded text encoder of transformers: texts to features at their own tokens.

A process holds one at a time. Only safetensors are read, and code that comes with a model is never run.
Legend: B texts, S tokens (padded to the longest of a batch), L tokens of one text, D features.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from curate.errors import InputRejected, StageCrashed
from curate.models import device_of

# Said, not left out: transformers asks on a terminal whether code of a model may run.
_LOCAL: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}


class TextModel:
    """A tokenizer and its encoder, on a device. Raises StageCrashed where they cannot be loaded."""

    def __init__(self, folder: Path, tokenizer: Path, dtype: str, device: str) -> None:
        import torch
        from transformers import AutoTokenizer

        self._device = torch.device(device_of(device, "encode"))
        self._model = _load(folder, {"bf16": torch.bfloat16, "fp32": torch.float32}[dtype]).to(self._device)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(tokenizer, **_LOCAL)
        except (OSError, ValueError, ImportError) as error:
            raise StageCrashed("encode:model", f"the tokenizer in {tokenizer} cannot be loaded: {error}") from error

    def encode(self, texts: list[str], max_tokens: int, batch: int, alive: Callable[[], None]) -> list[np.ndarray]:
        """Return features_LD, float32, in the order of the texts."""
        ids = [self._ids(text, max_tokens) for text in texts]
        order = sorted(range(len(texts)), key=lambda place: len(ids[place]))
        found: dict[int, np.ndarray] = {}
        for start in range(0, len(order), batch):
            alive()
            places = order[start : start + batch]
            found.update(zip(places, self._features([ids[place] for place in places]), strict=True))
        return [found[place] for place in range(len(texts))]

    def _ids(self, text: str, max_tokens: int) -> list[int]:
        """A text's tokens. Where a tokenizer gives none for the empty text, its end mark stands for it."""
        ids = self._tokenizer(text, truncation=True, max_length=max_tokens)["input_ids"]
        if not ids and self._tokenizer.eos_token_id is not None:
            ids = [self._tokenizer.eos_token_id]
        if not ids:
            raise InputRejected("encode:no_tokens", f"the tokenizer gives no token for {text[:80]!r}")
        return ids

    def _features(self, ids: list[list[int]]) -> list[np.ndarray]:
        """The last hidden state at each text's own tokens; padding is on the right, whatever the tokenizer says."""
        import torch

        lengths = [len(one) for one in ids]
        filler = self._tokenizer.pad_token_id or 0
        ids_BS = torch.tensor([[*one, *[filler] * (max(lengths) - len(one))] for one in ids], device=self._device)
        mask_BS = torch.tensor([[1] * n + [0] * (max(lengths) - n) for n in lengths], device=self._device)
        with torch.inference_mode():
            hidden_BSD = self._model(input_ids=ids_BS, attention_mask=mask_BS).last_hidden_state
        found = [hidden_SD[:n].float().cpu().numpy() for hidden_SD, n in zip(hidden_BSD, lengths, strict=True)]
        if not all(np.isfinite(features_LD).all() for features_LD in found):
            raise InputRejected("encode:not_finite", "the text encoder gave NaN or infinity")
        return found


@lru_cache(maxsize=1)
def text_model(folder: Path, tokenizer: Path, dtype: str, device: str) -> TextModel:
    """The model of these settings; the one that was used before is given up for it."""
    return TextModel(folder, tokenizer, dtype, device)


def _load(folder: Path, dtype: Any) -> Any:
    """The encoder alone. Weights that are missing are refused: transformers would make them up."""
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, AutoConfig, AutoModel, AutoModelForTextEncoding

    try:
        config = AutoConfig.from_pretrained(folder, **_LOCAL)
        auto = AutoModelForTextEncoding if type(config) in MODEL_FOR_TEXT_ENCODING_MAPPING else AutoModel
        model, said = auto.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **_LOCAL
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise StageCrashed("encode:model", f"{folder} cannot be loaded: {error}") from error
    for what in ("missing_keys", "mismatched_keys"):
        if said.get(what):
            raise StageCrashed(
                "encode:model", f"{folder}: {what.replace('_', ' ')}: {sorted(map(str, said[what]))[:3]}"
            )
    if config.is_encoder_decoder and auto is AutoModel:
        model = model.get_encoder()
    return getattr(model, "text_model", model).eval()  # of a model of texts and pictures, the half that reads
