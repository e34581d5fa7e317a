"""Row stages as work for the engines. A work takes rows and yields (stage, row) pairs.

media     one decode pass a source: probe, split, scores, hashes, proxies
proxied   scores of stored proxies
caption   captions from measured columns and proxies
check     faults of captions
latent    latents of the clip's frames
mp4       the clip as a file of its own
text      text features, a row a distinct text
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol

from curate.plan import Plan
from curate.stage import Fault, Left, fault_columns
from curate.store import Store

Row = dict[str, Any]


class Work(Protocol):
    """What a child process runs. A row has an `id`, and `need`: the works that it lacks."""

    batch_rows: int
    passes_on: bool  # whether its rows go to the next work, with the columns that it added

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row] | Left]:
        """Yield result rows, or that a row is left for the next run; `alive` says that a long row makes progress."""
        ...

    def fault(self, row: Row, fault: Fault) -> Iterator[tuple[str, Row]]:
        """The rows that say why this input has no result."""
        ...


def make_work(name: str, plan: Plan, store: Store) -> Work:
    """The work of this name; `store` is read by those that work on what is there already."""
    from curate.stages.caption import CaptionWork
    from curate.stages.check import CheckWork
    from curate.stages.cut import CutWork
    from curate.stages.encode import LatentWork, TextWork
    from curate.stages.media import MediaWork
    from curate.stages.proxied import ProxiedWork

    works: dict[str, Callable[[Plan], Work]] = {
        "media": MediaWork, "caption": partial(CaptionWork, store=store), "check": CheckWork, "latent": LatentWork,
        "mp4": CutWork, "text": TextWork, "proxied": partial(ProxiedWork, store=store),
    }  # fmt: skip
    return works[name](plan)


class ClipWork:
    """Base of works whose rows are clips and which write one row a clip."""

    stage: str
    key = "clip_id"
    batch_rows = 1
    passes_on = True

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def fault(self, row: Row, fault: Fault) -> Iterator[tuple[str, Row]]:
        """One quarantined row."""
        yield self.stage, {self.key: row["id"], **fault_columns(fault.reason, fault.detail)}
