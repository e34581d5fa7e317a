"""`rushes screen eval`: what the screens of a spec find on files that people have labelled.

LABELLED is a manifest (Parquet, CSV, JSONL) with `path`, whatever texts come with the footage, and a column a category
that says whether the file belongs to it: true, false, or nothing where nobody looked. Each file is judged whole, as one
clip. Nothing else tells whether a gate works on what it is for; this project has no such footage, and its users may.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.errors import SpecError
from curate.ids import fingerprint
from curate.intervals import clopper_pearson, upper_bound
from curate.locations import yes_or_no
from curate.manifests import rows_of, urls_of
from curate.run import Run
from curate.safety import Finding, Safety
from curate.screening import Judge
from curate.spec import Spec
from curate.spec_file import dump, parse

_WHOLE = 1e9  # seconds: a maximum length that never cuts


def evaluated(spec: Spec, labelled: Path) -> dict[str, Any]:
    """Recall, precision and their intervals by category and screen, and who was asked what.

    Raises:
        SpecError: the spec screens nothing, or no row of the file has a label of a category that it screens.
    """
    if spec.stages.screen is None:
        raise SpecError("screen eval: the spec has no `screen` stage")
    labels = _labels(labelled, list(spec.stages.screen.categories))
    with tempfile.TemporaryDirectory(prefix="rushes-eval-") as folder:
        job = Run(_spec(spec, labelled, folder))
        job.go(until="split")
        ledger = job.ledger()
        safety = Safety(ledger.clips, job.plan.judges, lambda *_: pa.table({}))
        clips = {url: i for i, url in enumerate(ledger.clips["url"].to_pylist())}
        places = {location.url: clips.get(location.url) for location in job.locations}
        first = {location.source_id: location.url for location in reversed(job.locations) if location.source_id}
        for location in job.locations:  # equal bytes are one clip, under the first of their names
            places[location.url] = clips.get(first.get(location.source_id, location.url))
        urls = urls_of(job.spec.sources[0], str(labelled))
    found = {
        category: _category([f for f in (*safety.given, *safety.later) if f.judge.category == category],
                            [(places.get(url), truth) for url, truth in zip(urls, column, strict=True)])
        for category, column in labels.items()
    }  # fmt: skip
    return {
        "labelled": labelled.name,
        "sha256": hashlib.sha256(labelled.read_bytes()).hexdigest(),
        "identity": identity(job.plan.judges),
        "policy": {"name": job.plan.policy.name, "profile": spec.stages.screen.profile} if job.plan.policy else None,
        # Of these, what matches a list or shows sexual content with a minor signal; it counts as stopped.
        "sealed": sum(outcome == "sealed" for outcome in ledger.others["outcome"].to_pylist()),
        "categories": found,
    }


def identity(judges: Sequence[Judge]) -> dict[str, str]:
    """By category a digest of everything that decides: screens, their weights and lists, and thresholds."""
    said: dict[str, list[Any]] = {}
    for judge in judges:
        levels = judge.thresholds
        what = [judge.name, judge.screen.version, dict(judge.screen.identity()), levels.stop, levels.minor_referenced]
        said.setdefault(judge.category, []).append(what)
    return {category: fingerprint(what) for category, what in said.items()}


def _spec(spec: Spec, labelled: Path, folder: str) -> Spec:
    """The spec's screens over the labelled files, each whole."""
    assert spec.stages.screen is not None
    # What matches a list is stopped and nothing else: whoever labels it has it already.
    sealed = spec.stages.screen.sealed
    held = sealed.model_copy(update={"policy": "hold"}) if sealed is not None else None
    screen = spec.stages.screen.model_copy(update={"sealed": held, "evaluation": None})
    raw = dump(spec.model_copy(update={"stages": spec.stages.model_copy(update={"screen": screen})}))
    stages: list[dict[str, Any]] = [{"split": {"detector": "fixed", "min_s": 0, "max_s": _WHOLE}}]
    stages += [stage for stage in raw["stages"] if "screen" in stage]
    if any("text_overlay" in (stage.get("score") or ()) for stage in raw["stages"]):
        stages.insert(1, {"score": ["text_overlay"]})
    kept = {key: raw[key] for key in ("media", "engine", "seed")}
    return parse({"name": "eval", "sources": [{"path": str(labelled)}], "output": folder, "stages": stages, **kept})


def _labels(labelled: Path, categories: list[str]) -> dict[str, list[bool | None]]:
    rows = rows_of(str(labelled))
    labels = {name: [yes_or_no(row.get(name), f"the label {name}") for row in rows] for name in categories}
    labels = {name: column for name, column in labels.items() if any(value is not None for value in column)}
    if not labels:
        raise SpecError(f"{labelled} labels nothing: give it a column of true and false for {', '.join(categories)}")
    return labels


def _category(findings: list[Finding], items: list[tuple[int | None, bool | None]]) -> dict[str, Any]:
    """Figures of each screen, and of all together: what any of them stops is stopped."""
    asked = [(place, truth) for place, truth in items if truth is not None]
    by_screen: dict[str, np.ndarray] = {}
    for finding in findings:
        stops = finding.hits | finding.silent | finding.waiting
        by_screen[finding.judge.name] = by_screen.get(finding.judge.name, False) | stops
    together = np.logical_or.reduce(list(by_screen.values())) if by_screen else np.zeros(0, bool)
    return {
        "all": _figures(together, asked),
        "screens": {name: _figures(stops, asked) for name, stops in by_screen.items()},
        "unreadable": sum(place is None for place, _ in asked),
    }


def _figures(stops: np.ndarray, asked: Sequence[tuple[int | None, bool | None]]) -> dict[str, Any]:
    """Recall and precision with 95 % intervals. A file that could not be read is not kept: it counts as stopped."""
    taken = [(bool(place is None or stops[place]), truth) for place, truth in asked]
    positives = sum(bool(truth) for _, truth in taken)
    hits = sum(stopped and bool(truth) for stopped, truth in taken)
    stopped = sum(stopped for stopped, _ in taken)
    alarms = stopped - hits
    negatives = len(taken) - positives
    return {
        "positives": positives, "negatives": negatives, "misses": positives - hits, "false_alarms": alarms,
        "recall": hits / positives if positives else None, "recall_95": clopper_pearson(hits, positives),
        "missed_share_at_most": upper_bound(positives - hits, positives) if positives else 1.0,
        "precision": hits / stopped if stopped else None, "precision_95": clopper_pearson(hits, stopped),
        "false_alarm_share_95": clopper_pearson(alarms, negatives),
    }  # fmt: skip


LEAST_POSITIVES = 30  # labelled files from which a category counts as measured: 0 missed of 30 bound the share at 10 %


def load_evaluation(path: str, judges: Sequence[Judge]) -> dict[str, Any]:
    """An evaluation that `rushes screen eval --out` wrote, by category, for those who are asked now.

    Raises:
        SpecError: it cannot be read, or it is of other screens, weights, lists or thresholds.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        said, categories = record["identity"], record["categories"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(f"screen.evaluation: {path} is none ({error}); `rushes screen eval` makes one") from error
    now = identity(judges)
    for category in categories:
        if category in now and said.get(category) != now[category]:
            raise SpecError(
                f"screen.evaluation: {path} is of other screens, weights, lists or thresholds for {category} than the "
                "spec names now: run `rushes screen eval` again"
            )
    return {
        category: {"on": record["labelled"], "sha256": record["sha256"], **figures["all"]}
        for category, figures in categories.items()
        if category in now and figures["all"]["positives"] >= LEAST_POSITIVES
    }
