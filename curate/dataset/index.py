"""The index of a dataset: how large each clip is and where it lies, so that a packer need not open the shards.

Sizes are in latents: how many tokens they make depends on a model's patches, positions // (p_t * p_h * p_w).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.stage import column

SCHEMA = pa.schema(
    [
        column("clip_id", pa.string(), "", "the clip"),
        column("shard", pa.string(), "", "path of its Parquet file, from the dataset's folder"),
        column("row_group", pa.int32(), "", "its row group there"),
        column("row", pa.int32(), "", "its row in that row group"),
        column("channels", pa.int32(), "", "channels of its latent"),
        column("latent_frames", pa.int32(), "latents", "frames of its latent"),
        column("latent_height", pa.int32(), "latents", "height of its latent"),
        column("latent_width", pa.int32(), "latents", "width of its latent"),
        column(
            "positions", pa.int64(), "latents", "frames * height * width of its latent: tokens of 1 x 1 x 1 patches"
        ),
        column("num_frames", pa.int32(), "frames", "frames that were encoded"),
        column("height", pa.int32(), "px", "height of the encoded frames"),
        column("width", pa.int32(), "px", "width of the encoded frames"),
        column("fps", pa.float64(), "1/s", "rate of the encoded frames; 0 for an image"),
        column("source_id", pa.string(), "", "the source"),
    ]
)
_CARRIED = ("clip_id", "num_frames", "height", "width", "fps", "source_id")


def index_of(root: Path, shards: list[dict[str, Any]]) -> Iterator[pa.Table]:
    """The index of these shards of clips, a table a row group; latents are not read."""
    import pyarrow.parquet as pq

    for shard in shards:
        with pq.ParquetFile(root / shard["path"]) as file:
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=[*_CARRIED, "shape"]).to_pylist()
                yield pa.Table.from_pylist(
                    [_entry(shard["path"], group, place, row) for place, row in enumerate(rows)], schema=SCHEMA
                )


def _entry(shard: str, group: int, place: int, row: dict[str, Any]) -> dict[str, Any]:
    channels, frames, height, width = row["shape"]
    return {
        **{name: row[name] for name in _CARRIED}, "shard": shard, "row_group": group, "row": place,
        "channels": channels, "latent_frames": frames, "latent_height": height, "latent_width": width,
        "positions": frames * height * width,
    }  # fmt: skip
