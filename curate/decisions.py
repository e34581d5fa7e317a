"""Decisions: for every clip the first thing that stops it. Scores were measured before; only here do rules decide.

The order is that of the stages: length, faults of measurements, rules of `keep`, screens, duplicates, captions and
latents. A rule is a comparison on a stored column, so changing one costs nothing but this.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa

from curate.captioning import KINDS
from curate.plan import CLIP_WORKS, ENCODED, Plan
from curate.safety import Finding, Safety
from curate.sources import CONFLICT, SEPARATOR
from curate.spec import Rule

VERDICT = ("outcome", "stage", "reason", "evidence")


class _Verdicts:
    """The first thing that stops each clip."""

    def __init__(self, count: int) -> None:
        self.open = np.ones(count, bool)
        self.columns = {name: np.full(count, "", object) for name in VERDICT}

    def stop(self, which: np.ndarray, outcome: str, stage: str, reasons: Any, evidence: Any) -> None:
        """Stop the clips in `which` that nothing stopped before. `evidence(i)` gives the facts of clip i."""
        for i in np.flatnonzero(which & self.open):
            reason = reasons if isinstance(reasons, str) else reasons[i]
            values = (outcome, stage, reason, json.dumps(evidence(i), sort_keys=True))
            for name, value in zip(VERDICT, values, strict=True):
                self.columns[name][i] = value
        self.open &= ~which


def decided(clips: pa.Table, plan: Plan, safety: Safety) -> pa.Table:
    """The clips with their verdicts, and what the screens have to say about those that pass."""
    verdicts = _Verdicts(clips.num_rows)
    _due(safety, verdicts)
    _lengths(clips, plan, verdicts)
    for stage in plan.measured_stages():
        if stage not in plan.screens:
            _faults(clips, stage, verdicts)
    for name, (source, rule) in plan.rules.items():
        _rule(clips, name, source, rule, verdicts)
    _screens(safety, verdicts)
    _texts(safety, verdicts, late=False)
    if plan.dedup is not None:
        _duplicates(clips, safety, verdicts)
    works = [stage for stage in CLIP_WORKS if stage in plan.tables]
    for stage in (stage for stage in works if stage not in ENCODED):
        _faults(clips, stage, verdicts)
    if "check" in plan.tables:
        _captions(clips, plan, verdicts)
    _texts(safety, verdicts, late=True)  # a caption may say what no screen saw: such a clip is not encoded
    for stage in (stage for stage in works if stage in ENCODED):
        _faults(clips, stage, verdicts)
    verdicts.columns["outcome"][verdicts.open] = "kept"
    verdicts.columns["evidence"][verdicts.open] = "{}"
    for name in VERDICT:
        place = clips.schema.get_field_index(name)
        values = pa.array(verdicts.columns[name].tolist(), pa.string())
        clips = clips.set_column(place, clips.schema.field(name), values)
    place = clips.schema.get_field_index("tags")
    return clips.set_column(place, clips.schema.field("tags"), pa.array(safety.tags(), pa.list_(pa.string())))


def _lengths(clips: pa.Table, plan: Plan, verdicts: _Verdicts) -> None:
    durations = _numbers(clips["duration_s"])
    short = clips["too_short"].fill_null(False).to_numpy(zero_copy_only=False)
    facts = {"min": plan.stages.split.min_s}
    verdicts.stop(short, "rejected", "split", "split:too_short", lambda i: {"duration_s": durations[i], **facts})
    damaged = _numbers(clips["corrupt_frames"])
    verdicts.stop(damaged > 0, "quarantined", "split", "decode:corrupt", lambda i: {"corrupt_frames": int(damaged[i])})


def _faults(clips: pa.Table, stage: str, verdicts: _Verdicts) -> None:
    outcomes = np.array(clips[f"{stage}.outcome"].to_pylist(), object)
    reasons = clips[f"{stage}.reason"].to_pylist()
    details, attempts = clips[f"{stage}.detail"].to_pylist(), clips[f"{stage}.attempts"].to_pylist()
    bad = outcomes == "quarantined"
    verdicts.stop(bad, "quarantined", stage, reasons, lambda i: {"detail": details[i], "attempts": attempts[i]})
    verdicts.stop(np.array([outcome is None for outcome in outcomes], bool), "pending", stage, "pending", lambda _: {})


def _rule(clips: pa.Table, name: str, source: str, rule: Rule, verdicts: _Verdicts) -> None:
    """Apply one rule of `keep`. Motion is not asked of images: a single frame has none."""
    if rule.allow is not None or rule.deny is not None:
        values = clips[source].to_pylist()
        refused = [_refused(rule, value) for value in values]
        facts = {k: list(v) for k, v in (("allow", rule.allow), ("deny", rule.deny)) if v is not None}
        verdicts.stop(
            np.array(refused, bool), "rejected", name, f"{name}:not_allowed", lambda i: {"value": values[i], **facts}
        )
        return
    numbers = _numbers(clips[source])
    asked = _numbers(clips["num_frames"]) > 1 if name.partition(".")[0] == "motion" else np.ones(len(numbers), bool)
    missing = np.isnan(numbers) & asked
    verdicts.stop(missing, "rejected", name, f"{name}:missing", lambda _: {"value": None})
    for bound, below in (("min", True), ("max", False)):
        limit = getattr(rule, bound)
        if limit is None:
            continue
        wrong = numbers < limit if below else numbers > limit
        reason = f"{name}:below_min" if below else f"{name}:above_max"
        verdicts.stop(
            wrong & asked, "rejected", name, reason, lambda i, b=bound, m=limit: {"value": _plain(numbers[i]), b: m}
        )


def _due(safety: Safety, verdicts: _Verdicts) -> None:
    """What must be sealed is nobody's to see until it is: no length, rule or duplicate explains it away."""
    verdicts.stop(safety.due, "quarantined", "screen", "minors:to_be_sealed", lambda _: {})


def _screens(safety: Safety, verdicts: _Verdicts) -> None:
    """Safety fails closed: a clip that a screen did not answer for is not kept, whatever kept it from answering."""
    for finding in safety.given:
        judge = finding.judge
        missing = [f"{judge.category}:no_verdict:{fault}" for fault in finding.faults]
        verdicts.stop(finding.waiting, "pending", judge.category, "pending", lambda _: {})
        verdicts.stop(finding.silent, "quarantined", judge.category, missing, lambda _, n=judge.name: {"screen": n})
        if judge.rule.action != "tag":
            outcome = "rejected" if judge.rule.action == "reject" else "quarantined"
            reason = f"{judge.category}:{'review' if judge.rule.action == 'review' else judge.name}"
            verdicts.stop(finding.hits, outcome, judge.category, reason, lambda i, f=finding: _evidence(f, i))


def _texts(safety: Safety, verdicts: _Verdicts, late: bool) -> None:
    """A term in a text that came after the footage reopens its verdict: `onscreen` before captions, they at last."""
    for finding in safety.later:
        missing = [f"{finding.judge.name}:no_verdict:{fault}" for fault in finding.faults]
        verdicts.stop(finding.silent, "quarantined", finding.judge.name, missing, lambda _: {})
        if finding.judge.rule.action != "tag":
            kinds = [finding.facts(i).get("text", "") for i in range(safety.count)]
            which = np.array([(kind == "caption") == late for kind in kinds], bool) & finding.hits
            reasons = [f"{finding.judge.name}:{kind}" for kind in kinds]
            verdicts.stop(which, "quarantined", finding.judge.name, reasons, lambda i, f=finding: _evidence(f, i))


def _evidence(finding: Finding, i: int) -> dict[str, Any]:
    facts = {"category": finding.judge.category, **finding.facts(i)}
    if finding.judge.reads_texts:
        return facts
    return {**facts, "value": _plain(finding.values[i]), "threshold": float(finding.limits[i])}


def _refused(rule: Rule, value: str | None) -> bool:
    """Where locations of equal bytes disagree, all of their values must be allowed, and none may be denied."""
    values = (
        [value] if value is None or not value.startswith(CONFLICT) else value.removeprefix(CONFLICT).split(SEPARATOR)
    )
    allowed = rule.allow is None or all(v in rule.allow for v in values)
    return not allowed or (rule.deny is not None and any(v in rule.deny for v in values))


def _duplicates(clips: pa.Table, safety: Safety, verdicts: _Verdicts) -> None:
    """Duplicates come from the dedup snapshot, joined as `dedup.*` by `with_duplicates`.

    What a screen took out is compared too, and what looks like it is not kept either.
    """
    if "dedup.duplicate_of" not in clips.schema.names:
        verdicts.stop(np.ones(clips.num_rows, bool), "pending", "dedup", "pending", lambda _: {})
        return
    keepers = clips["dedup.duplicate_of"].to_pylist()
    names = clips["clip_id"].to_pylist()
    tainted = {k: (c, n) for k, c, n in zip(keepers, safety.flagged, names, strict=True) if k is not None and c}
    near = [tainted.get(keeper or name) for keeper, name in zip(keepers, names, strict=True)]
    verdicts.stop(
        np.array([found is not None for found in near], bool), "quarantined", "dedup",
        [f"near:{found[0]}" if found else "" for found in near],
        lambda i: {"near": found[1] if (found := near[i]) else ""},
    )  # fmt: skip
    kinds = clips["dedup.kind"].to_pylist()
    facts = {name: clips[f"dedup.{name}"].to_pylist() for name in ("distance", "matched_share", "via")}
    verdicts.stop(
        np.array([keeper is not None for keeper in keepers], bool), "duplicate", "dedup", kinds,
        lambda i: {"keeper": keepers[i], **{name: values[i] for name, values in facts.items()}},
    )  # fmt: skip


def good_captions(clips: pa.Table, plan: Plan) -> dict[str, list[str | None]]:
    """Captions of each clip by kind, None where there is none or where its faults take it out.

    A dense caption whose faults say `fall_back` is replaced by the short one, if that is good.
    """
    from captioner.checks import action, check

    checks = plan.stages.check
    overrides = checks.actions if checks is not None else {}
    originals = clips["caption.original"].to_pylist()
    texts: dict[str, list[str | None]] = {
        "original": [t if t is not None and not check(t, "original") else None for t in originals]
    }
    for kind in KINDS:
        name = f"caption.{kind}"
        given = clips[name].to_pylist() if name in clips.schema.names else [None] * clips.num_rows
        faults = clips[f"check.{kind}"].to_pylist() if f"check.{kind}" in clips.schema.names else [None] * len(given)
        does = [action(codes or (), overrides) for codes in faults]
        shorter = texts.get("short", [None] * len(given))
        instead = {"accept": given, "fall_back": shorter, "quarantine": [None] * len(given)}
        texts[kind] = [instead[what][i] for i, what in enumerate(does)]
    return texts


def _captions(clips: pa.Table, plan: Plan, verdicts: _Verdicts) -> None:
    """A clip whose every caption is faulty has nothing to train on."""
    good = good_captions(clips, plan)
    none = np.array([not any(texts) for texts in zip(*good.values(), strict=True)], bool)
    faults = {kind: clips[f"check.{kind}"].to_pylist() for kind in KINDS}
    verdicts.stop(
        none, "quarantined", "check", "caption:none_usable", lambda i: {kind: rows[i] for kind, rows in faults.items()}
    )


def _numbers(values: pa.ChunkedArray) -> np.ndarray:
    return values.cast(pa.float64()).to_numpy()


def _plain(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
