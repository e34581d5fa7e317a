"""The clips that a head learns from and looks through: the stored proxies of a run, screened or not.

A sealed source is not in it. An item is a clip id; a path stands for the clips of its file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from curate import proxies
from curate.errors import SpecError
from curate.ledger import Ledger
from curate.run import Run
from curate.spec_file import load_spec


class Pool:
    """Clips of a run by id, with their frames."""

    def __init__(self, out: Path) -> None:
        if not (out / "spec.yaml").is_file():
            raise SpecError(
                f"{out} is not the output folder of a run; proxies of its clips are what a head is made from"
            )
        self._job = Run(load_spec(out / "spec.yaml").model_copy(update={"output": str(out)}))
        ledger: Ledger = self._job.ledger()
        self.urls = dict(zip(ledger.clips["clip_id"].to_pylist(), ledger.clips["url"].to_pylist(), strict=True))
        places = proxies.places(self._job.plan, self._job.store)
        held_back = set(ledger.due)  # to be sealed by the next run: nobody looks at them in the meantime
        sources = dict(zip(ledger.clips["clip_id"].to_pylist(), ledger.clips["source_id"].to_pylist(), strict=True))
        self._places = {
            clip: part for clip, part in places.items() if clip in self.urls and sources[clip] not in held_back
        }

    @property
    def items(self) -> list[str]:
        """Every clip that can be looked at, in order."""
        return sorted(self._places)

    def resolve(self, name: str) -> list[str]:
        """The clips that a clip id or a path means. Raises SpecError where there is none."""
        if name in self._places:
            return [name]
        wanted = f"file://{Path(name).absolute()}"
        found = sorted(clip for clip in self._places if self.urls[clip] in (name, wanted))
        if not found:
            raise SpecError(f"label: {name} is no clip of the run, nor a file of its footage")
        return found

    def frames(self, items: set[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Proxies (T, H, W, 3) uint8 of these clips, part by part."""
        by_part: dict[str, set[str]] = {}
        for item in items:
            by_part.setdefault(self._places[item], set()).add(item)
        for part, wanted in sorted(by_part.items()):
            for row in proxies.rows(self._job.store, part, wanted):
                if row["outcome"] == "ok" and row["jpeg"]:
                    yield row["clip_id"], np.stack([proxies.decoded(row["clip_id"], jpeg) for jpeg in row["jpeg"]])
