"""A dataset of random latents: what its numbers are does not matter to who reads it or trains on it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.codecs import latent_codec, text_encoder
from curate.codecs.bf16 import encode_bf16
from curate.dataset.shards import write_dataset

UNSCREENED = ["explicit", "violence", "hate"]


def text_id(text: str) -> str:
    """The id of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def clip(number: int, latent_CTHW: np.ndarray, caption: str) -> dict[str, Any]:
    """A clip's row, from its latent of the codec `dct`; a source of its own."""
    codec = latent_codec("dct")
    frames, height, width = latent_CTHW.shape[1:]
    return {
        "clip_id": f"{number:032x}", "latent": encode_bf16(latent_CTHW), "shape": list(latent_CTHW.shape),
        "dtype": "bfloat16", "codec": "dct", "codec_fingerprint": codec.fingerprint,
        "width": codec.space_factor * width, "height": codec.space_factor * height,
        "num_frames": 1 + codec.time_factor * (frames - 1), "fps": 8.0, "source_id": f"{number:032x}",
        "caption_short": caption, "caption_short_text_id": text_id(caption), "loss_weight": 1.0,
    }  # fmt: skip


def write(path: Path, clips: Iterable[pa.Table], captions: Sequence[str], **more: Any) -> Path:
    """Write tables of clips and the texts of their captions, unscreened."""
    codec, encoder, rows = latent_codec("dct"), text_encoder("hashed"), []
    for text in ("", *captions):
        features = encoder.encode([text])[0]
        rows.append({
            "text_id": text_id(text), "text": text, "features": encode_bf16(features), "shape": list(features.shape),
            "encoder": "hashed", "encoder_fingerprint": encoder.fingerprint,
        })  # fmt: skip
    header = {
        "codec": {"name": "dct", "params": {}, "fingerprint": codec.fingerprint},
        "text_encoder": {"name": "hashed", "params": {}, "fingerprint": encoder.fingerprint},
    }
    receipt = {"categories": dict.fromkeys(UNSCREENED, "unscreened")}
    return write_dataset(path, clips, [pa.Table.from_pylist(rows)], header, receipt, **more).path
