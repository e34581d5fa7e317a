"""The screening receipt of a dataset: which category was screened by what, how well that is known, and what it missed.

`curate.dataset.receipts` seals it and checks it; this says what stands in it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from curate.ledger import Ledger, funnel
from curate.plan import Plan
from curate.safety import GIVEN_TEXTS, LATER_TEXTS
from curate.screening import Judge
from curate.spec import REQUIRED_CATEGORIES
from curate.stage import PROXY


def receipt(plan: Plan, ledger: Ledger) -> dict[str, Any]:
    """What was screened by what. A category without a screen is `unscreened`, and says so."""
    screen = plan.stages.screen
    names = list(screen.categories) if screen is not None else list(REQUIRED_CATEGORIES)
    by_category = {name: [judge for judge in plan.judges if judge.category == name] for name in names}
    counts: dict[str, int] = {}
    for row in funnel(ledger):
        counts[row["outcome"]] = counts.get(row["outcome"], 0) + row["rows"]
    said = {
        "categories": {name: [judge.name for judge in found] or "unscreened" for name, found in by_category.items()},
        "screens": {name: {j.name: _described(plan, j) for j in found} for name, found in by_category.items() if found},
        "calibrated": {name: name in plan.calibration for name, found in by_category.items() if found},
        "calibration": plan.calibration,
        "policy": None,
        # What is shorter than the distance of two looks can lie between them.
        "miss_window_s": 1.0 / PROXY.fps if plan.screens else None,
        "texts": _texts(plan, ledger),
        "lists": _lists(plan),
        "counts": counts,
    }
    if plan.policy is not None and screen is not None:
        said["policy"] = {"name": plan.policy.name, "sha256": plan.policy.sha256, "profile": screen.profile}
    return said


def _described(plan: Plan, judge: Judge) -> dict[str, Any]:
    """One screen of a category: what it is, where it stops, and whether anybody measured how much it misses."""
    return {
        "version": judge.screen.version,
        "key": plan.tables[judge.stage].key if judge.stage in plan.tables else None,
        "threshold": judge.thresholds.stop,
        "action": judge.rule.action,
        "identity": dict(judge.screen.identity()),
        "calibrated": judge.name in plan.calibration.get(judge.category, {}),
    }


def _lists(plan: Plan) -> list[dict[str, Any]]:
    """The lists of known material, and until when they hold; their trainer may look whether they have grown."""
    screen, known = plan.stages.screen, plan.known
    if screen is None or known is None:
        return []
    paths = [str(Path(path).absolute()) for path in screen.known_hashes]
    rows = zip(known.names, paths, known.sha256, known.updated, known.counts, strict=True)
    return [
        {"name": name, "path": path, "sha256": digest, "updated": str(updated), "entries": counts,
         "max_age_days": screen.max_age_days}
        for name, path, digest, updated, counts in rows
    ]  # fmt: skip


def _texts(plan: Plan, ledger: Ledger) -> list[str]:
    """Texts that the term lists were held against, as columns of the ledger."""
    if not any(judge.reads_texts for judge in plan.judges):
        return []
    return [name for name in (*GIVEN_TEXTS, *LATER_TEXTS) if name in ledger.clips.schema.names]
