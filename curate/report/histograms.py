"""A histogram per score, with the thresholds of the rules drawn in and the share of clips on each side.

Counts are over clips that have a value. A bar is cut in two where a threshold runs through its bin, so the colours
are exact whatever the bins are.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from curate.ledger import Ledger
from curate.plan import CLIP_COLUMNS, HASH_STAGE, Plan
from curate.report.axes import Axis, at
from curate.report.steps import rule_words
from curate.report.words import count, number, share
from curate.spec import Rule

WIDTH, HEIGHT = 320.0, 132.0  # view box; the template uses the same
_LEFT, _RIGHT, _TOP, _BOTTOM = 4.0, 316.0, 16.0, 112.0
_BINS = 40
# A tail that reaches beyond this many times the 99th percentile would squeeze everything else into one bar.
_LONG_TAIL = 3.0
_VALUES = 12  # of a text column, the most frequent ones


def histograms(plan: Plan, ledger: Ledger) -> list[dict[str, Any]]:
    """One drawing per score's first number, and one per further column that a rule reads."""
    clips, drawings = ledger.clips, []
    for column, rule in _wanted(plan):
        if column not in clips.schema.names:
            continue
        field = clips.schema.field(column)
        meta = {k.decode(): v.decode() for k, v in (field.metadata or {}).items()}
        common = {
            "name": column.removesuffix(".score"),
            "meaning": meta.get("meaning", ""),
            "unit": meta.get("unit", ""),
            "direction": _direction(plan, column),
            "rule": rule_words(rule) if rule is not None else "",
        }
        if pa.types.is_string(field.type):
            drawings.append({**common, **_words(clips[column].to_pylist(), rule)})
        else:
            drawings.append({**common, **_numbers(_asked(clips, column), rule)})
    return drawings


def _wanted(plan: Plan) -> list[tuple[str, Rule | None]]:
    """Ledger columns to draw, with their rules: lengths, scores in the order of the spec, then other rules."""
    rules = {column: rule for column, rule in plan.rules.values()}
    columns = ["duration_s"]
    for name, score in plan.scores.items():
        first = score.fields[0]
        if name != HASH_STAGE and (pa.types.is_floating(first.type) or pa.types.is_integer(first.type)):
            columns.append(f"{name}.{first.name}")
        columns += [column for column in rules if column.startswith(f"{name}.")]
    columns += [column for column in rules if column in CLIP_COLUMNS]
    return [(column, rules.get(column)) for column in dict.fromkeys(columns)]


def _direction(plan: Plan, column: str) -> str:
    stage, _, name = column.partition(".")
    score = plan.scores.get(stage)
    return score.higher_is if score is not None and score.fields[0].name == name else "neutral"


def _asked(clips: pa.Table, column: str) -> np.ndarray:
    """Values (N,) float64, NaN where there is none. No rule asks an image for motion, so images are left out there."""
    values = clips[column].cast(pa.float64()).to_numpy()
    if column.startswith("motion."):
        values = values[np.array(clips["kind"].to_pylist(), object) != "image"]
    return values


def _words(values: list[str | None], rule: Rule | None) -> dict[str, Any]:
    """Values of a text column by frequency."""
    counts = Counter("" if value is None else value for value in values)
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [
        {
            "value": value or "(none)", "rows": f"{n:,}", "share": share(n, total),
            "width": at(100.0 * n / total), "good": _allowed(value, rule),
        }
        for value, n in ordered[:_VALUES]
    ]  # fmt: skip
    return {"listed": rows, "more": len(ordered) - len(rows), "clips": f"{total:,}"}


def _allowed(value: str, rule: Rule | None) -> bool:
    if rule is None:
        return True
    return (rule.allow is None or value in rule.allow) and (rule.deny is None or value not in rule.deny)


def _numbers(values: np.ndarray, rule: Rule | None) -> dict[str, Any]:
    known = values[~np.isnan(values)]
    missing = len(values) - len(known)
    if not len(known):
        return {"bars": [], "clips": "0", "missing": count(missing, "clip") if missing else ""}
    limits = [limit for limit in (rule.min, rule.max) if limit is not None] if rule is not None else []
    low, high = _range(known, limits)
    x = Axis(low, high, _LEFT, _RIGHT)
    return {
        "bars": _bars(known, rule, x),
        "marks": x.marks(5),
        "limits": [_limit(limit, x) for limit in limits],
        "sides": _sides(known, rule),
        "clips": f"{len(known):,}",
        "missing": count(missing, "clip") if missing else "",
        "beyond": count(int((known > high).sum()), "clip") if (known > high).any() else "",
        "summary": [{"name": f"p{p}", "value": number(float(np.percentile(known, p)))} for p in (5, 50, 95)],
    }


def _limit(limit: float, x: Axis) -> dict[str, Any]:
    """A threshold; its label stands on the side that has room."""
    return {"at": x(limit), "label": number(limit), "end": x(limit) > (_LEFT + _RIGHT) / 2}


def _range(known: np.ndarray, limits: list[float]) -> tuple[float, float]:
    """Ends of the axis: all values and thresholds, but no further than a long tail allows."""
    low, high = min(float(known.min()), *limits, np.inf), max(float(known.max()), *limits, -np.inf)
    p99 = float(np.percentile(known, 99))
    if p99 > 0 and high > _LONG_TAIL * p99:
        high = max(_LONG_TAIL * p99, *limits, -np.inf)
    if low >= 0 and low < 0.25 * high:
        low = 0.0  # most scores start at zero: show it
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _good(values: np.ndarray, rule: Rule | None) -> np.ndarray:
    """Which values the rule lets through; the same comparisons as the ledger's."""
    good = np.ones(len(values), bool)
    if rule is not None and rule.min is not None:
        good &= ~(values < rule.min)
    if rule is not None and rule.max is not None:
        good &= ~(values > rule.max)
    return good


def _bars(known: np.ndarray, rule: Rule | None, x: Axis) -> list[dict[str, Any]]:
    """Bars as rectangles: what passes stands on the line, what fails on top of it."""
    edges = np.linspace(x.low, x.high, _BINS + 1)
    shown = np.clip(known, x.low, x.high)
    good = _good(known, rule)
    pass_counts, fail_counts = (np.histogram(shown[which], edges)[0] for which in (good, ~good))
    top = float((pass_counts + fail_counts).max())
    unit, bars = (_BOTTOM - _TOP) / top, []
    for i in range(_BINS):
        left, width = x(edges[i]) + 0.5, (_RIGHT - _LEFT) / _BINS - 1.0
        base = _BOTTOM
        for n, passed in ((pass_counts[i], True), (fail_counts[i], False)):
            if n:
                tall = max(1.0, float(n) * unit)  # one clip among a million is still to be seen
                bars.append({"x": at(left), "y": at(base - tall), "w": at(width), "h": at(tall), "good": passed})
                base -= tall
    return bars


def _sides(known: np.ndarray, rule: Rule | None) -> list[dict[str, Any]]:
    """How many clips lie on each side of the thresholds."""
    if rule is None or (rule.min is None and rule.max is None):
        return []
    below = int((known < rule.min).sum()) if rule.min is not None else 0
    above = int((known > rule.max).sum()) if rule.max is not None else 0
    sides = [
        ("below min", below, rule.min is not None, False),
        ("within", len(known) - below - above, True, True),
        ("above max", above, rule.max is not None, False),
    ]
    return [
        {"name": name, "rows": f"{n:,}", "share": share(n, len(known)), "good": good}
        for name, n, there, good in sides
        if there
    ]
