"""The funnel's arithmetic, on ledgers of every kind."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curate.ledger import CLIP_FIELDS, Ledger
from curate.plan import Plan
from curate.report.steps import funnel_view, rule_words
from curate.spec import Rule
from curate.spec_file import parse

PLAN = Plan(parse({
    "name": "x", "sources": [{"path": "none"}], "output": "none",
    "stages": [{"score": ["motion", "sharpness"]}, {"keep": {"motion": {"min": 0.1}, "license": {"allow": ["cc-by"]}}}],
}))  # fmt: skip

VERDICTS = (
    ("kept", "", ""),
    ("rejected", "split", "split:too_short"),
    ("rejected", "motion", "motion:below_min"),
    ("rejected", "license", "license:not_allowed"),
    ("rejected", "explicit", "explicit:above_max"),
    ("quarantined", "probe", "source:missing"),
    ("quarantined", "motion", "crash:signal:SIGSEGV"),
    ("duplicate", "dedup", "exact:bytes"),
    ("sealed", "known_hashes", "known_hashes:match"),
    ("pending", "frames", "pending"),
)


def ledger(rows: list[tuple[int, float]]) -> Ledger:
    fields = pa.schema(CLIP_FIELDS)
    clips = [
        {**dict(zip(("outcome", "stage", "reason"), VERDICTS[which], strict=True)), "duration_s": seconds}
        for which, seconds in rows
    ]
    return Ledger(pa.Table.from_pylist(clips, schema=fields), fields.empty_table())


@given(st.lists(st.tuples(st.integers(0, len(VERDICTS) - 1), st.floats(0, 1e5)), max_size=40))
def test_in_is_what_left_at_each_step_plus_kept(rows: list[tuple[int, float]]) -> None:
    view = funnel_view(PLAN, ledger(rows))
    kept = sum(1 for which, _ in rows if which == 0)
    assert view["steps"][-1]["left"] == f"{kept:,}" == view["kept"]["rows"]
    assert sum(int(step["lost"] or 0) for step in view["steps"]) == len(rows) - kept
    assert sum(int(outcome["rows"]) for outcome in view["outcomes"]) == len(rows)
    before = 100.0
    for step in view["steps"]:
        after = step["width"] + sum(cut["width"] for cut in step["cuts"])
        assert not rows or abs(after - before) < 0.01  # what is left and what was lost is what came in
        before = step["width"] if rows else before
    assert view["pending"] == any(VERDICTS[which][0] == "pending" for which, _ in rows)


def test_a_fault_of_a_score_is_no_verdict_of_its_rule() -> None:
    view = funnel_view(PLAN, ledger([(2, 1.0), (6, 1.0)]))
    lost = {step["title"]: [reason["reason"] for reason in step["reasons"]] for step in view["steps"]}
    assert lost["Measure"] == ["crash:signal:SIGSEGV"]
    assert lost["motion"] == ["motion:below_min"]


def test_steps_stand_in_the_order_in_which_they_decide() -> None:
    titles = [step["title"] for step in funnel_view(PLAN, ledger([(4, 1.0), (7, 1.0)]))["steps"]]
    assert titles[:5] == ["Read the sources", "Split into scenes", "Measure", "motion", "license"]
    assert titles[5:] == ["explicit", "Remove duplicates"]


def test_rules_are_written_as_in_the_spec() -> None:
    rules: dict[str, Any] = {"min": 0.25, "max": 2.0, "allow": ("cc-by", "cc0"), "deny": None}
    assert rule_words(Rule(**rules)) == "min 0.25, max 2, allow cc-by, cc0"
