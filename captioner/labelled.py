"""Labelled clips for fine-tuning: the frames are those of a run's store, as the captioner will see them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from captioner.prompting import filled
from curate import proxies
from curate.captioning import BOX, Ask, Pictures, Prompt
from curate.errors import SpecError
from curate.manifests import rows_of
from curate.run import Run
from curate.spec_file import load_spec
from curate.stages.caption import pictures_of


@dataclass(frozen=True)
class Example:
    """A question, and the caption that answers it."""

    ask: Ask
    caption: str


def examples(data: str, run: Path, prompt: Prompt, max_frames: int) -> list[Example]:
    """The labelled clips of one kind, in the order of their ids.

    Raises:
        SpecError: rows of another form, or clips that the run has no frames of.
    """
    wanted: dict[str, str] = {}
    for number, row in enumerate(rows_of(data), 1):
        if not row.get("clip") or not row.get("caption") or row.get("kind") not in ("short", "dense"):
            raise SpecError(f"{data} row {number}: `clip`, `kind` (short or dense) and `caption` are needed")
        if row["kind"] == prompt.kind:
            wanted[str(row["clip"])] = str(row["caption"]).strip()
    if not wanted:
        raise SpecError(f"{data} has no {prompt.kind} caption")
    found = _pictures(run, set(wanted))
    lost = sorted(wanted.keys() - found.keys())
    if lost:
        raise SpecError(f"{data}: {run} has no frames of {len(lost)} clips, {lost[0]} among them")
    return [
        Example(
            Ask(clip, prompt, {}, filled(prompt, {}, (), None), found[clip].between(0.0, float("inf"), max_frames)),
            wanted[clip],
        )
        for clip in sorted(wanted)
    ]


def _pictures(run: Path, clips: set[str]) -> dict[str, Pictures]:
    if not (run / "spec.yaml").exists():
        raise SpecError(f"{run} is not the output folder of a run: it has no spec.yaml")
    job = Run(load_spec(run / "spec.yaml").model_copy(update={"output": str(run)}))
    parts: dict[str, set[str]] = defaultdict(set)
    for clip, part in proxies.places(job.plan, job.store).items():
        if clip in clips:
            parts[part].add(clip)
    boxes = _boxes(job)
    return {
        row["clip_id"]: pictures_of(row, boxes.get(row["clip_id"], {}))
        for part, wanted in parts.items()
        for row in proxies.rows(job.store, part, wanted)
        if row["outcome"] == "ok"
    }


def _boxes(job: Run) -> dict[str, dict[str, float]]:
    """The picture within its bars by clip, where the run measured it."""
    if "borders" not in job.plan.tables:
        return {}
    table, names = job.plan.tables["borders"], {name.partition(".")[2]: name for name in BOX}
    rows = job.store.read(table.name, table.schema, ["clip_id", *names]).to_pylist()
    return {row["clip_id"]: {full: row[name] for name, full in names.items()} for row in rows}
