"""The funnel: what went in, what each step took away and why, what was kept. Rows are clips, further locations of
equal bytes, and sources without clips; `in` counts them all (DESIGN 1.1)."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from curate.ledger import OUTCOMES, Ledger, funnel
from curate.plan import CLIP_WORKS, Plan
from curate.report.words import length, number, share
from curate.spec import Rule

_MEASURE = "measure"
_KEEP = "keep."
_TITLES = {
    "probe": "Read the sources",
    "split": "Split into scenes",
    _MEASURE: "Measure",
    "dedup": "Remove duplicates",
    "caption": "Caption",
    "check": "Check captions",
    "latent": "Encode",
    "mp4": "Cut",
}


def funnel_view(plan: Plan, ledger: Ledger) -> dict[str, Any]:
    """Steps in the order in which they decide, each with its bar (percent of all rows), losses and reasons."""
    rows = funnel(ledger)
    total, hours = sum(row["rows"] for row in rows), sum(row["hours"] for row in rows)
    losses: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["outcome"] != "kept":
            losses[_step(row, plan)].append(row)
    left, left_hours, steps = total, hours, []
    for name in _order(plan, losses):
        lost = losses.get(name, [])
        left -= sum(row["rows"] for row in lost)
        left_hours -= sum(row["hours"] for row in lost)
        steps.append(_view(name, lost, left, left_hours, total, hours, plan))
    return {
        "rows": f"{total:,}",
        "hours": length(hours),
        "steps": steps,
        "outcomes": _outcomes(rows, total),
        "kept": _sum(rows, "kept", total, hours),
        "pending": any(row["outcome"] == "pending" for row in rows),
    }


def _step(row: dict[str, Any], plan: Plan) -> str:
    """The step that a loss belongs to. A score's fault is `measure`, its rule is a step of its own."""
    if row["outcome"] == "rejected" and row["stage"] in plan.rules:
        return _KEEP + row["stage"]
    return _MEASURE if row["stage"] in plan.measured_stages() else row["stage"]


def _order(plan: Plan, losses: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Steps as they decide; steps that only the ledger knows (screens) stand between the rules and deduplication."""
    before = ["probe", "split", _MEASURE, *(_KEEP + name for name in plan.rules)]
    after = ["dedup"] if plan.dedup is not None or "dedup" in losses else []
    after += [stage for stage in CLIP_WORKS if stage in plan.tables]
    between = sorted(set(losses) - set(before) - set(after))
    return [*before, *between, *after]


def _view(
    name: str, lost: list[dict[str, Any]], left: int, left_hours: float, total: int, hours: float, plan: Plan
) -> dict[str, Any]:
    rule = plan.rules[name.removeprefix(_KEEP)][1] if name.startswith(_KEEP) else None
    reasons = [
        {
            "outcome": row["outcome"], "reason": row["reason"] or row["outcome"], "rows": f"{row['rows']:,}",
            "hours": length(row["hours"]), "share": share(row["rows"], total),
        }
        for row in lost
    ]  # fmt: skip
    cuts = [
        {"outcome": outcome, "width": _percent(sum(r["rows"] for r in lost if r["outcome"] == outcome), total)}
        for outcome in OUTCOMES
        if any(r["outcome"] == outcome for r in lost)
    ]
    return {
        "title": _TITLES.get(name, name.removeprefix(_KEEP)),
        "rule": rule_words(rule) if rule is not None else "",
        "lost": f"{sum(row['rows'] for row in lost):,}" if lost else "",
        "left": f"{left:,}",
        "left_hours": length(max(left_hours, 0.0)),
        "width": _percent(left, total),
        "width_hours": _percent(max(left_hours, 0.0), hours),
        "cuts": cuts,
        "reasons": reasons,
    }


def rule_words(rule: Rule) -> str:
    """A rule as it stands in the spec."""
    bounds = {"min": rule.min, "max": rule.max}
    lists = {"allow": rule.allow, "deny": rule.deny}
    words = [f"{name} {number(limit)}" for name, limit in bounds.items() if limit is not None]
    words += [f"{name} {', '.join(given)}" for name, given in lists.items() if given is not None]
    return ", ".join(words)


def _outcomes(rows: list[dict[str, Any]], total: int) -> list[dict[str, Any]]:
    """Rows by outcome: the terms of in = kept + rejected + ...; pending only when there is any."""
    counts = {name: sum(row["rows"] for row in rows if row["outcome"] == name) for name in OUTCOMES}
    return [
        {"name": name, "rows": f"{n:,}", "share": share(n, total)}
        for name, n in counts.items()
        if n or name != "pending"
    ]


def _sum(rows: list[dict[str, Any]], outcome: str, total: int, hours: float) -> dict[str, str]:
    mine = [row for row in rows if row["outcome"] == outcome]
    n, long = sum(row["rows"] for row in mine), sum(row["hours"] for row in mine)
    return {"rows": f"{n:,}", "share": share(n, total), "hours": length(long), "hours_share": share(long, hours)}


def _percent(part: float, whole: float) -> float:
    return round(100.0 * part / whole, 3) if whole else 0.0
