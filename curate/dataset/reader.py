"""Random access to an exported dataset: metadata in memory, latents and text features by row group.

Precision is read from the data (bfloat16 on disk, float32 out), sizes are the clips' own, order is nobody's
business here: the trainer draws it. Legend: C channels, T latent frames, H, W; L words, D features.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.codecs.bf16 import float32_from_bf16
from curate.dataset.shards import read_card
from curate.errors import SpecError, StorageError

# Decoded row groups are kept until they take this many bytes; a small dataset then stays in memory whole.
CACHE_BYTES = 1 << 30


class Dataset:
    """An exported dataset. `card` is dataset.json; `columns` the clips' metadata, a list a column.

    text_encoder: whose features `text` gives, by its label, None for the dataset's first; what the card says of it.

    Raises SpecError when the folder is no dataset, lacks that encoder, or holds latents of another codec than its
    card's; StorageError when a shard's size is not the card's.
    """

    def __init__(self, path: Path, cache_bytes: int = CACHE_BYTES, text_encoder: str | None = None) -> None:
        self.path = Path(path)
        self.card = read_card(self.path)
        cache = _GroupCache(cache_bytes)
        self._clips = _Shards(self.path, self.card["shards"]["clips"], "latent", cache)
        self.text_encoder, kind = _texts_of(self.path, self.card, text_encoder)
        self._texts = _Shards(self.path, self.card["shards"][kind], "features", cache)
        self.columns: dict[str, list[Any]] = self._clips.metadata()
        if set(self.columns.get("dtype", [])) - {"bfloat16"}:
            raise StorageError(f"{self.path} holds latents that are not bfloat16")
        foreign = set(self.columns.get("codec_fingerprint", [])) - {self.card["codec"]["fingerprint"]}
        if foreign:
            raise SpecError(
                f"{self.path} holds latents of the codec {min(map(str, foreign))}, and its card names "
                f"{self.card['codec']['fingerprint']}: encode and export them again"
            )
        texts = self._texts.metadata()
        self._text_row = {text_id: row for row, text_id in enumerate(texts.get("text_id", []))}
        self.longest_text: int = max((shape[0] for shape in texts.get("shape", [])), default=0)

    def __len__(self) -> int:
        return self._clips.rows

    @property
    def clip_ids(self) -> list[str]:
        """The clips' ids, in the order of the shards."""
        return self.columns.get("clip_id", [])

    def shape(self, index: int) -> tuple[int, int, int, int]:
        """Return the latent's (C, T, H, W) without reading it."""
        channels, frames, height, width = self.columns["shape"][index]
        return channels, frames, height, width

    def latent(self, index: int) -> np.ndarray:
        """Return latent_CTHW of the clip at `index`, float32, as the codec gave it."""
        return self._clips.array(index)

    def has_text(self, text_id: str | None) -> bool:
        """Whether the features of this text are in the dataset."""
        return text_id in self._text_row

    def text(self, text_id: str) -> np.ndarray:
        """Return features_LD, float32, trimmed. Raises SpecError on an id that the dataset does not hold."""
        if text_id not in self._text_row:
            raise SpecError(f"{self.path} has no text {text_id}: export the dataset again")
        return self._texts.array(self._text_row[text_id])


def _texts_of(path: Path, card: dict[str, Any], label: str | None) -> tuple[dict[str, Any], str]:
    """What a card says of the text encoder of this label, and its kind of shards. SpecError where it has no such."""
    first, more = card["text_encoder"], card.get("more_text_encoders", {})
    if label is None or label == first.get("label", first["name"]):
        return first, "texts"
    if label not in more:
        known = ", ".join([first.get("label", first["name"]), *more])
        raise SpecError(f"{path} has no texts of an encoder called {label!r}, but of: {known}")
    return more[label], f"texts_{label}"


class _GroupCache:
    """Least recently used row groups, bounded by the bytes of their arrays."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._held: OrderedDict[tuple[str, int], list[np.ndarray]] = OrderedDict()

    def get(self, key: tuple[str, int]) -> list[np.ndarray] | None:
        group = self._held.get(key)
        if group is not None:
            self._held.move_to_end(key)
        return group

    def put(self, key: tuple[str, int], group: list[np.ndarray]) -> None:
        self._held[key] = group
        self._bytes += sum(array.nbytes for array in group)
        while self._bytes > self._limit and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._bytes -= sum(array.nbytes for array in dropped)


class _Shards:
    """Rows of one kind over several Parquet files; `payload` is the bf16 column, described by `shape`."""

    def __init__(self, root: Path, shards: list[dict[str, Any]], payload: str, cache: _GroupCache) -> None:
        import pyarrow.parquet as pq

        self._payload, self._cache = payload, cache
        self._files: list[pq.ParquetFile] = []
        self._groups: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self._paths = [root / shard["path"] for shard in shards]
        self.rows = 0
        for path, shard in zip(self._paths, shards, strict=True):
            if not path.is_file() or path.stat().st_size != shard["bytes"]:
                raise StorageError(f"{path} is missing or has another size than when it was exported")
            file = pq.ParquetFile(path, memory_map=True)
            for group in range(file.num_row_groups):
                self._groups.append((len(self._files), group))
                self._starts.append(self.rows)
                self.rows += file.metadata.row_group(group).num_rows
            self._files.append(file)

    def metadata(self) -> dict[str, list[Any]]:
        """Return all columns but the payload, as lists."""
        parts = [f.read(columns=[n for n in f.schema_arrow.names if n != self._payload]) for f in self._files]
        if not parts:
            return {}
        table = pa.concat_tables(parts)
        return {name: table[name].to_pylist() for name in table.column_names}

    def array(self, row: int) -> np.ndarray:
        """Return the payload of one row as float32."""
        if not 0 <= row < self.rows:
            raise IndexError(f"row {row} of {self.rows}")
        number = bisect.bisect_right(self._starts, row) - 1
        file, group = self._groups[number]
        key = (str(self._paths[file]), group)
        arrays = self._cache.get(key)
        if arrays is None:
            arrays = self._read(file, group)
            self._cache.put(key, arrays)
        return float32_from_bf16(arrays[row - self._starts[number]])

    def _read(self, file: int, group: int) -> list[np.ndarray]:
        table = self._files[file].read_row_group(group, columns=[self._payload, "shape"])
        arrays = []
        for data, shape in zip(table[self._payload].to_pylist(), table["shape"].to_pylist(), strict=True):
            if len(data) != 2 * int(np.prod(shape)):
                raise StorageError(f"{self._paths[file]}: {len(data)} bytes do not fit the shape {shape} in bfloat16")
            arrays.append(np.frombuffer(data, "<u2").reshape(shape))
        return arrays
