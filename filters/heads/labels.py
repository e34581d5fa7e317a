"""The label store: who said when what of which item, and why it was asked about. Append-only Parquet.

A person may change their mind and others may disagree: the latest word counts, and every earlier one stays. What an
audit labelled never trains anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import SpecError, StorageError
from curate.ids import fingerprint
from curate.stage import column
from curate.store import write_atomic

ORIGINS = ("seed", "loop_a", "loop_b", "boundary", "random", "audit")
SCHEMA = pa.schema(
    [
        column("item", pa.string(), "", "the clip that was looked at"),
        column("label", pa.bool_(), "", "whether it belongs to the category"),
        column("who", pa.string(), "", "the person who says so"),
        column("when", pa.string(), "", "UTC, ISO 8601"),
        column("origin", pa.string(), "", f"why it was asked about: {', '.join(ORIGINS)}"),
    ]
)


@dataclass(frozen=True)
class Labels:
    """What is known of each item now: label and origin; `conflicts` are items of which people said different things."""

    truth: Mapping[str, bool]
    origin: Mapping[str, str]
    conflicts: tuple[str, ...]
    digest: str


class LabelStore:
    """Labels in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> pa.Table:
        """Everything that was ever said, in order."""
        import pyarrow.parquet as pq

        if not self.path.exists():
            return SCHEMA.empty_table()
        try:
            return pq.read_table(self.path).cast(SCHEMA)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"the labels {self.path} cannot be read ({error}); restore them") from error

    def add(self, labels: Iterable[tuple[str, bool]], who: str, origin: str) -> int:
        """Append what a person says; how many labels that were.

        Raises:
            SpecError: nobody is named, or the origin is none.
        """
        import pyarrow.parquet as pq

        if not who.strip():
            raise SpecError("labels need somebody who gave them: --who NAME")
        if origin not in ORIGINS:
            raise SpecError(f"unknown origin {origin!r} of labels; there are {', '.join(ORIGINS)}")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        fresh: list[dict[str, Any]] = [
            {"item": item, "label": bool(label), "who": who.strip(), "when": now, "origin": origin}
            for item, label in labels
        ]
        sink = pa.BufferOutputStream()
        pq.write_table(pa.concat_tables([self.rows(), pa.Table.from_pylist(fresh, schema=SCHEMA)]), sink)
        write_atomic(self.path, sink.getvalue().to_pybytes(), replace=True)
        return len(fresh)

    def known(self, origins: Iterable[str] = ORIGINS) -> Labels:
        """The latest word on every item that was asked about for one of these reasons."""
        wanted = set(origins)
        truth: dict[str, bool] = {}
        origin: dict[str, str] = {}
        said: dict[str, set[bool]] = {}
        for row in self.rows().to_pylist():
            said.setdefault(row["item"], set()).add(row["label"])
            truth[row["item"]] = row["label"]
            origin.setdefault(row["item"], row["origin"])
        items = sorted(item for item in truth if origin[item] in wanted)
        conflicts = tuple(sorted(item for item in items if len(said[item]) > 1))
        digest = fingerprint([[item, truth[item]] for item in items])
        return Labels({item: truth[item] for item in items}, {item: origin[item] for item in items}, conflicts, digest)
