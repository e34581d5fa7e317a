"""The stored frames of a run's clips, for whoever looks at them beside the stages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from curate import proxies
from curate.captioning import BOX, Pictures
from curate.errors import SpecError
from curate.plan import Plan
from curate.run import Run
from curate.spec_file import load_spec
from curate.stages.caption import pictures_of
from curate.store import Store


def opened(out: Path) -> Run:
    """The run of an output folder, which may have been moved since. SpecError where it is none."""
    if not (out / "spec.yaml").exists():
        raise SpecError(f"{out} is not the output folder of a run: it has no spec.yaml")
    return Run(load_spec(out / "spec.yaml").model_copy(update={"output": str(out)}))


def pictures(plan: Plan, store: Store, clips: Collection[str]) -> Iterator[tuple[str, Pictures]]:
    """The frames of these clips, part by part; a clip without frames is passed over."""
    parts: dict[str, set[str]] = defaultdict(set)
    for clip, part in proxies.places(plan, store).items():
        if clip in clips:
            parts[part].add(clip)
    boxes = _boxes(plan, store)
    for part, wanted in parts.items():
        for row in proxies.rows(store, part, wanted):
            if row["outcome"] == "ok":
                yield row["clip_id"], pictures_of(row, boxes.get(row["clip_id"], {}))


def _boxes(plan: Plan, store: Store) -> dict[str, dict[str, float]]:
    """The picture within its bars by clip, where the run measured it."""
    if "borders" not in plan.tables:
        return {}
    table, names = plan.tables["borders"], {name.partition(".")[2]: name for name in BOX}
    rows = store.read(table.name, table.schema, ["clip_id", *names]).to_pylist()
    return {row["clip_id"]: {full: row[name] for name, full in names.items()} for row in rows}
