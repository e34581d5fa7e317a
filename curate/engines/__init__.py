"""Engines compute: `local` in worker processes, `ray` in actor pools. The store commits.

engine(spec) -> Engine
Engine.run(works, shards) -> iterator of (parts, rows done), a shard each, as they finish
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from curate.spec import Spec
from curate.store import Part

Shard = list[dict[str, Any]]


class Engine(Protocol):
    """Runs shards of rows somewhere and yields the parts that each has written."""

    def run(self, works: Sequence[str], shards: Sequence[Shard]) -> Iterator[tuple[list[Part], int]]:
        """Run every shard through the works in order; parts are written, not committed."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


def cores() -> int:
    """Cores that this process may use, which may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_of(spec: Spec, works: Sequence[str]) -> int:
    """Most workers that these works are given."""
    resource = spec.engine.resources.get(works[0])
    return resource.workers[1] if resource is not None else spec.engine.workers or cores()


def make_engine(spec: Spec, out: Path) -> Engine:
    """The engine that the spec names."""
    if spec.engine.kind == "ray":
        from curate.engines.ray import RayEngine

        return RayEngine(spec, out)
    from curate.engines.local import LocalEngine

    return LocalEngine(spec, out)
