"""Random access to an exported dataset: metadata in memory, latents and text features by row group.

Precision is read from the data (bfloat16 on disk, float32 out), sizes are the clips' own, order is nobody's
business here: the trainer draws it. Threads may read at once; the metadata are held, and row groups up to a bound.
Legend: C channels, T latent frames, H, W; L words, D features.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from curate.dataset.rows import Arrays, GroupCache, ShardRows
from curate.dataset.shards import parse_card, read_card
from curate.errors import InputRejected, SpecError, StorageError
from curate.files import is_local, local_path, open_url

# Row groups are kept until they take this many bytes; a small dataset then stays in memory whole.
CACHE_BYTES = 1 << 30
# Threads that read row groups: what they do is decompression and copying, outside the interpreter's lock.
THREADS = 2
# How far `latents` looks ahead: row groups that are held beside what is kept, and rows.
GROUPS_AHEAD, ROWS_AHEAD = 2 * THREADS, 1024


class Dataset:
    """An exported dataset: a folder, or any fsspec URL of one. `card` is dataset.json; `columns` the clips' metadata.

    `columns` has a list a column. The sha256 of a shard is compared with the card's before the first latent or text is
    read from it, unless `verify` says that it has been (by the receipt's check, which reads every byte).

    text_encoder: whose features `text` gives, by its label, None for the dataset's first; what the card says of it.

    Raises SpecError when there is no dataset, or it lacks that encoder, or holds latents of another codec than its
    card's; StorageError when a shard's size, or later its sha256, is not the card's.
    """

    def __init__(
        self,
        path: Path | str,
        cache_bytes: int = CACHE_BYTES,
        text_encoder: str | None = None,
        *,
        verify: bool = True,
    ) -> None:
        self.path = path
        root = str(path)
        if is_local(root):
            root = local_path(root)
            self.card = read_card(Path(root))
        else:
            self.card = _remote_card(root)
        cache = GroupCache(cache_bytes)
        self._clips = ShardRows(root, self.card["shards"]["clips"], "latent", cache, verify)
        self.text_encoder, kind = _texts_of(self.path, self.card, text_encoder)
        self._texts = ShardRows(root, self.card["shards"][kind], "features", cache, verify)
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
        self.text_shapes: list[list[int]] = texts.get("shape", [])  # [L, D] of each text
        self.longest_text: int = max((shape[0] for shape in self.text_shapes), default=0)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="dataset")

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

    def latents(self, indices: Iterable[int]) -> Iterator[np.ndarray]:
        """Yield latent_CTHW of each index in turn; threads read the row groups of the next ones meanwhile.

        An order that leaves a row group and comes back is served from what is kept, and else reads it again.
        """
        order = ((row, self._clips.group_of(row)) for row in indices)
        asked: deque[tuple[int, int]] = deque()
        loads: dict[int, Future[Arrays]] = {}  # of the row groups that `asked` needs
        left: Counter[int] = Counter()  # rows of each that `asked` has
        while True:
            while len(loads) <= GROUPS_AHEAD and len(asked) < ROWS_AHEAD and (found := next(order, None)) is not None:
                asked.append(found)
                left[found[1]] += 1
                if found[1] not in loads:
                    loads[found[1]] = self._threads.submit(self._clips.load, found[1])
            if not asked:
                return
            row, group = asked.popleft()
            latent = self._clips.array(row, loads[group].result())
            left[group] -= 1
            if not left[group]:
                del loads[group], left[group]
            yield latent

    def warm(self, indices: Iterable[int]) -> None:
        """Read the row groups of these clips into what is kept, several at once."""
        wanted = sorted({self._clips.group_of(index) for index in indices})
        for _ in self._threads.map(self._clips.load, wanted):
            pass

    def warm_texts(self, text_ids: Iterable[str]) -> None:
        """Read the row groups of these texts into what is kept, several at once."""
        wanted = sorted({self._texts.group_of(self._row_of(text_id)) for text_id in text_ids})
        for _ in self._threads.map(self._texts.load, wanted):
            pass

    def has_text(self, text_id: str | None) -> bool:
        """Whether the features of this text are in the dataset."""
        return text_id in self._text_row

    def text(self, text_id: str) -> np.ndarray:
        """Return features_LD, float32, trimmed. Raises SpecError on an id that the dataset does not hold."""
        return self._texts.array(self._row_of(text_id))

    def _row_of(self, text_id: str) -> int:
        if text_id not in self._text_row:
            raise SpecError(f"{self.path} has no text {text_id}: export the dataset again")
        return self._text_row[text_id]


def _texts_of(path: Path | str, card: dict[str, Any], label: str | None) -> tuple[dict[str, Any], str]:
    """What a card says of the text encoder of this label, and its kind of shards. SpecError where it has no such."""
    first, more = card["text_encoder"], card.get("more_text_encoders", {})
    if label is None or label == first.get("label", first["name"]):
        return first, "texts"
    if label not in more:
        known = ", ".join([first.get("label", first["name"]), *more])
        raise SpecError(f"{path} has no texts of an encoder called {label!r}, but of: {known}")
    return more[label], f"texts_{label}"


def _remote_card(url: str) -> dict[str, Any]:
    try:
        with open_url(f"{url}/dataset.json") as file:
            return parse_card(file.read(), url)
    except InputRejected as error:
        raise SpecError(f"{url} is no dataset (dataset.json: {error}): run `export` first") from error
