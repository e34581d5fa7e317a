"""Labelled clips for fine-tuning: the frames are those of a run's store, as the captioner will see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from captioner.prompting import filled
from captioner.stored import opened, pictures
from curate.captioning import Ask, Prompt
from curate.errors import SpecError
from curate.manifests import rows_of


@dataclass(frozen=True)
class Example:
    """A question, and the caption that answers it."""

    ask: Ask
    caption: str


def examples(data: str, run: Path, prompt: Prompt, max_frames: int) -> list[Example]:
    """The labelled clips of one kind, in the order of their ids.

    Raises:
        SpecError: rows of another form, two captions of a clip, or clips that the run has no frames of.
    """
    wanted: dict[str, str] = {}
    for number, row in enumerate(rows_of(data), 1):
        if not row.get("clip") or not row.get("caption") or row.get("kind") not in ("short", "dense"):
            raise SpecError(f"{data} row {number}: `clip`, `kind` (short or dense) and `caption` are needed")
        if row["kind"] == prompt.kind:
            clip, caption = str(row["clip"]), str(row["caption"]).strip()
            if wanted.setdefault(clip, caption) != caption:
                raise SpecError(f"{data} row {number}: clip {clip} has another {prompt.kind} caption already; keep one")
    if not wanted:
        raise SpecError(f"{data} has no {prompt.kind} caption")
    job = opened(run)
    found = dict(pictures(job.plan, job.store, wanted.keys()))
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
