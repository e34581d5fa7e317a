"""What the judges say of every clip: values against the policy's thresholds, and what follows from them.

Safety fails closed: a clip that a screen did not answer for is not kept, whatever kept it from answering. A minor
signal tightens thresholds, and together with sexual content it seals the source. Nothing is measured here: values come
from the ledger's columns, and texts are matched as they stand there, so one that arrives later is judged then.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from curate.captioning import KINDS
from curate.screening import Judge
from curate.stage import by_frame

# Texts that a text screen reads, by the name that a reason gives them: those that came with the footage, and those that
# a stage wrote or read later.
GIVEN_TEXTS = {"text.caption": "caption", "text.title": "title", "text.transcript": "transcript"}
_WRITTEN = [f"caption.{kind}{what}" for what in ("", "_fields") for kind in KINDS]
LATER_TEXTS = {"text_overlay.strings": "onscreen", **dict.fromkeys(_WRITTEN, "caption")}
_IN_PARTS = ("windows", "refused")  # what else captioners said: windows beside one without a caption, unused answers
Texts = list[tuple[str, list[str]]]  # by the name of a reason, a text a clip; empty where there is none
Moments = Callable[[str, Sequence[str], pa.Array], pa.Table]  # heavy columns of a stage for some clips


@dataclass
class Finding:
    """What one judge says, an entry a clip; `values` are NaN where it said nothing, and `faults` then say why."""

    judge: Judge
    values: np.ndarray
    waiting: np.ndarray
    faults: np.ndarray
    facts: Callable[[int], dict[str, Any]]
    limits: np.ndarray = field(default_factory=lambda: np.empty(0))

    @property
    def silent(self) -> np.ndarray:
        """Clips for which there is no verdict and none is to come."""
        return np.isnan(self.values) & ~self.waiting

    @property
    def hits(self) -> np.ndarray:
        """Clips in which it found its category."""
        return self.values >= self.limits

    @property
    def reviewable(self) -> np.ndarray:
        """Clips that a person should look at, or worse."""
        return self.values >= np.minimum(self.judge.thresholds.review, self.limits)


class Safety:
    """The findings of all judges over the clips of a ledger."""

    def __init__(self, clips: pa.Table, judges: Sequence[Judge], moments: Moments) -> None:
        self._clips, self._moments = clips, moments
        self.count = clips.num_rows
        self.given = [self._finding(judge) for judge in judges]
        self.later = [_said(self.count, judge, self._later_texts) for judge in judges if judge.reads_texts]
        for finding in (*self.given, *self.later):
            levels = finding.judge.thresholds
            tight = min(levels.stop, levels.minor_referenced)
            finding.limits = np.where(self.minor, tight, levels.stop)

    @cached_property
    def _later_texts(self) -> Texts:
        """What a stage wrote or read: on-screen text, captions and what was said beside them, answers not used."""
        texts = _texts(self._clips, LATER_TEXTS)
        if "caption.outcome" in self._clips.schema.names:
            rows = self._moments("caption", _IN_PARTS, self._clips["clip_id"])
            for name in _IN_PARTS:
                told = ([part["text"] for part in parts or ()] for parts in rows[name].to_pylist())
                texts.append(("caption", ["\n".join(map(_plain, said)) for said in told]))
        return texts

    @cached_property
    def minor(self) -> np.ndarray:
        """Clips that carry a signal of a minor, in a text or by a classifier."""
        signal = np.zeros(self.count, bool)
        for finding in (*self.given, *self.later):
            if finding.judge.rule.minor_signal:
                signal |= finding.values >= finding.judge.thresholds.stop
        return signal

    @cached_property
    def due(self) -> np.ndarray:
        """Clips whose source is to be sealed: sexual content from the review threshold on, with a minor signal."""
        sexual = np.zeros(self.count, bool)
        for finding in (*self.given, *self.later):
            if finding.judge.rule.sexual:
                sexual |= finding.reviewable
        return sexual & self.minor

    @cached_property
    def flagged(self) -> list[str]:
        """For every clip the first category that takes it out, or an empty text; whatever else may stop it."""
        found = [""] * self.count
        for finding in self.given:
            if finding.judge.rule.action != "tag":
                for i in np.flatnonzero(finding.hits):
                    found[i] = found[i] or finding.judge.category
        return found

    def tags(self) -> list[list[str]]:
        """Words for a person about each clip: categories that only tag, near misses, and what its siblings were."""
        tags: list[set[str]] = [set() for _ in range(self.count)]
        for finding in (*self.given, *self.later):
            category = finding.judge.category
            if finding.judge.rule.action == "tag":
                for i in np.flatnonzero(finding.hits):
                    tags[i].add(category)
            for i in np.flatnonzero(finding.reviewable & ~finding.hits):
                tags[i].add(f"review:{category}")
        sources = self._clips["source_id"].to_pylist()
        bad: dict[str, set[str]] = {}
        for i, category in enumerate(self.flagged):
            if category:
                bad.setdefault(sources[i], set()).add(category)
        for i, source in enumerate(sources):
            if not self.flagged[i]:
                tags[i] |= {f"source:{category}" for category in bad.get(source, ())}
        return [sorted(names) for names in tags]

    def _finding(self, judge: Judge) -> Finding:
        if judge.reads_texts:
            return _said(self.count, judge, _texts(self._clips, GIVEN_TEXTS))
        outcomes = self._clips[f"{judge.stage}.outcome"].to_pylist()
        reasons = self._clips[f"{judge.stage}.reason"].to_pylist()
        values = self._clips[f"{judge.stage}.{judge.category}"].cast(pa.float64()).to_numpy().copy()
        waiting = np.array([outcome is None for outcome in outcomes], bool)
        answered = np.array([outcome == "ok" for outcome in outcomes], bool) & np.isfinite(values)
        values[~answered] = np.nan
        faults = np.array([reason or "score:no_answer" for reason in reasons], object)
        finding = Finding(judge, values, waiting, faults, lambda i: spans()[i])
        spans = cache(lambda: self._spans(finding))  # read once for all, when the first is asked for
        return finding

    def _spans(self, finding: Finding) -> dict[int, dict[str, Any]]:
        """For every hit when its worst moment begins and ends, in seconds from the clip's start."""
        judge, hits = finding.judge, np.flatnonzero(finding.hits)
        columns = [by_frame(judge.category), "times_s"]
        rows = self._moments(judge.stage, columns, self._clips["clip_id"].take(hits)).to_pylist()
        return {
            int(i): _span(row[columns[0]], row[columns[1]], float(finding.limits[i]))
            for i, row in zip(hits, rows, strict=True)
        }


def _span(levels: list[float], times_s: list[float], limit: float) -> dict[str, Any]:
    """The stretch around the worst moment in which every look reaches the limit."""
    first = last = int(np.argmax(levels))
    while first > 0 and levels[first - 1] >= limit:
        first -= 1
    while last + 1 < len(levels) and levels[last + 1] >= limit:
        last += 1
    return {"from_s": round(times_s[first], 3), "to_s": round(times_s[last], 3)}


def _texts(clips: pa.Table, names: Mapping[str, str]) -> Texts:
    """These of the ledger's columns, as far as there are any."""
    return [
        (
            said,
            [
                _plain(text) if name.endswith("_fields") else "\n".join(_strings(text))
                for text in clips[name].to_pylist()
            ],
        )
        for name, said in names.items()
        if name in clips.schema.names
    ]


def _plain(text: str | None) -> str:
    """All that a JSON text says, line by line: escapes hide words. Any other text as it is."""
    try:
        return "\n".join(_strings(json.loads(text or "")))
    except (ValueError, RecursionError):
        return text or ""


def _strings(value: Any) -> Iterator[str]:
    """Every text within a value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _said(count: int, judge: Judge, texts: Texts) -> Finding:
    """What a text screen finds in some of the texts: 1 or 0, and where. A text that is not there says nothing."""
    values, faults = np.zeros(count), np.full(count, "", object)
    found: dict[int, dict[str, Any]] = {}
    known: dict[str, tuple[str, list[Any]]] = {}
    for name, column in texts:
        for i, text in enumerate(column):
            if not text or i in found:
                continue
            if text not in known:
                known[text] = _judged(judge, name, text)
            fault, hits = known[text]
            if fault:
                faults[i], values[i] = fault, np.nan
            elif hits:
                found[i] = {"text": name, "term": hits[0].term, "list": hits[0].list}
                values[i] = 1.0
    nobody = np.zeros(count, bool)
    return Finding(judge, values, nobody, faults, lambda i: found.get(i, {}))


def _judged(judge: Judge, name: str, text: str) -> tuple[str, list[Any]]:
    """The fault of a text screen, or what it finds in a text."""
    try:
        return "", list(judge.screen.judge({name: text})[judge.category])  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 an extension may raise anything; the text's clips are not kept for it
        return f"score:error:{type(error).__name__}", []
