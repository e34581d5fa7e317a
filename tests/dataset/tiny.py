"""A tiny real dataset: generated footage through the real codec and encoder to a real export."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.codecs import latent_codec, text_encoder
from curate.codecs.bf16 import encode_bf16
from curate.dataset.parquet import Sizes
from curate.dataset.shards import DatasetInfo, write_dataset
from tests.codecs.footage import footage

UNSCREENED = {"categories": {"explicit": "unscreened", "violence": "unscreened", "hate": "unscreened"}}
SCREENED = {
    "categories": {"explicit": ["nudenet"], "violence": ["zero_shot"], "hate": ["terms"]},
    "calibrated": {"explicit": True, "violence": True, "hate": True},
}
ALLOW = ["explicit", "violence", "hate"]


def text_id(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def clip_rows(shapes: Sequence[tuple[int, int]], channels: int = 8, captions: Sequence[str] = ("a", "b c")) -> pa.Table:
    """One row for each (frames, side): the latent of a generated clip and two captions."""
    codec = latent_codec("dct", channels=channels)
    rows: list[dict[str, Any]] = []
    for number, (frames, side) in enumerate(shapes):
        clip = footage(1000 + number, 1, frames=frames, side=side)[0]
        latent = codec.encode(clip.astype(np.float32).transpose(3, 0, 1, 2)[None] / 127.5 - 1)[0]
        caption = captions[number % len(captions)]
        rows.append({
            "clip_id": text_id(f"clip {number}"), "latent": encode_bf16(latent), "shape": list(latent.shape),
            "dtype": "bfloat16", "codec": "dct", "codec_fingerprint": codec.fingerprint, "width": side,
            "height": side, "num_frames": frames, "fps": 8.0 if frames > 1 else 0.0, "crop": [0, 0, side, side],
            "source_id": text_id(f"source {number}"), "stream_index": 0, "start_pts": 0, "end_pts": frames,
            "time_base": "1/8", "caption_short": caption, "caption_dense": None, "caption_original": "x " + caption,
            "caption_short_text_id": text_id(caption), "caption_dense_text_id": None,
            "caption_original_text_id": text_id("x " + caption), "source_class": "in_house", "license": "cc0",
            "loss_weight": 1.0,
        })  # fmt: skip
    schema = pa.schema([
        ("clip_id", pa.string()), ("latent", pa.binary()), ("shape", pa.list_(pa.int32())), ("dtype", pa.string()),
        ("codec", pa.string()), ("codec_fingerprint", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
        ("num_frames", pa.int32()), ("fps", pa.float64()), ("crop", pa.list_(pa.int32())), ("source_id", pa.string()),
        ("stream_index", pa.int32()), ("start_pts", pa.int64()), ("end_pts", pa.int64()), ("time_base", pa.string()),
        ("caption_short", pa.string()), ("caption_dense", pa.string()), ("caption_original", pa.string()),
        ("caption_short_text_id", pa.string()), ("caption_dense_text_id", pa.string()),
        ("caption_original_text_id", pa.string()), ("source_class", pa.string()), ("license", pa.string()),
        ("loss_weight", pa.float64()),
    ])  # fmt: skip
    return pa.Table.from_pylist(rows, schema=schema)


def text_rows(texts: Sequence[str]) -> pa.Table:
    """One row for each distinct text, the empty text included."""
    encoder = text_encoder("hashed", dim=16)
    rows = []
    for text in sorted({"", *texts}):
        features = encoder.encode([text])[0]
        rows.append({
            "text_id": text_id(text), "text": text, "features": encode_bf16(features), "shape": list(features.shape),
            "encoder": "hashed", "encoder_fingerprint": encoder.fingerprint,
        })  # fmt: skip
    return pa.Table.from_pylist(rows)


def header(channels: int = 8) -> dict[str, Any]:
    codec, encoder = latent_codec("dct", channels=channels), text_encoder("hashed", dim=16)
    return {
        "codec": {"name": "dct", "params": {"channels": channels}, "fingerprint": codec.fingerprint},
        "text_encoder": {"name": "hashed", "params": {"dim": 16}, "fingerprint": encoder.fingerprint},
    }


def tiny_dataset(
    path: Path, shapes: Sequence[tuple[int, int]] = ((9, 32),) * 6, receipt: dict[str, Any] = UNSCREENED, **sizes: int
) -> DatasetInfo:
    """Write a dataset of one clip for each (frames, side)."""
    clips = clip_rows(shapes)
    captions = [c for c in clips["caption_short"].to_pylist() + clips["caption_original"].to_pylist() if c]
    return write_dataset(path, [clips], [text_rows(captions)], header(), receipt, sizes=Sizes(**sizes))
