"""Histograms: the shares are the ledger's, whatever the bins are, and nothing is drawn outside of the drawing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.report import histograms as h
from curate.run import Run
from curate.spec import Rule
from tests.report.conftest import stages

VALUES = st.lists(st.floats(-1e6, 1e6) | st.sampled_from([0.0, 0.1, 1.0]) | st.just(float("nan")), max_size=60)
LIMIT = st.none() | st.floats(-10, 10) | st.just(0.1)


@given(VALUES, LIMIT, LIMIT)
def test_sides_count_every_value_once(values: list[float], low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        low, high = high, low
    rule = Rule(min=low, max=high) if low is not None or high is not None else None
    drawing = h._numbers(np.array(values, float), rule)
    known = [v for v in values if v == v]
    good = sum(1 for v in known if not (low is not None and v < low) and not (high is not None and v > high))
    if known and (low is not None or high is not None):
        rows = {side["name"]: int(side["rows"].replace(",", "")) for side in drawing["sides"]}
        assert sum(rows.values()) == len(known)
        assert rows["within"] == good
    assert drawing["clips"] == f"{len(known)}"


@given(VALUES.filter(lambda values: any(v == v for v in values)), LIMIT)
def test_bars_stay_in_the_drawing(values: list[float], low: float | None) -> None:
    drawing = h._numbers(np.array(values, float), None if low is None else Rule(min=low))
    assert drawing["bars"]
    for bar in drawing["bars"]:
        assert bar["x"] >= 0
        assert bar["x"] + bar["w"] <= h.WIDTH
        # A thin bar is drawn one unit high, so a stack may stand that much above the top line.
        assert bar["y"] >= h._TOP - 1.01
        assert bar["y"] + bar["h"] <= h._BOTTOM + 0.01
    for mark in (*drawing["marks"], *drawing["limits"]):
        assert 0 <= mark["at"] <= h.WIDTH


def test_colours_agree_with_the_rule_within_a_bin() -> None:
    values = np.array([0.0] * 5 + [0.12] * 2 + [0.17] * 3 + [4.0] * 5)  # bins of 0.1: the threshold cuts the second
    bars = h._numbers(values, Rule(max=0.15))["bars"]
    second = [bar for bar in bars if bar["x"] == bars[1]["x"]]
    assert [(bar["good"], round(bar["h"] / bars[0]["h"] * 5, 2)) for bar in second] == [(True, 2.0), (False, 3.0)]
    assert second[0]["y"] == pytest.approx(second[1]["y"] + second[1]["h"], abs=0.02)  # one on top of the other


def test_a_long_tail_does_not_squeeze_the_rest() -> None:
    values = np.concatenate([np.linspace(0, 1, 1000), [5000.0]])
    drawing = h._numbers(values, None)
    assert drawing["beyond"] == "1 clip"
    assert len(drawing["bars"]) > 10


def test_one_drawing_per_score_and_rule(job: Callable[..., Run]) -> None:
    run = job(stages=stages(width={"min": 10}, license={"deny": ["secret"]}))
    drawn = {d["name"]: d for d in h.histograms(run.plan, run.ledger())}
    assert list(drawn) == ["duration_s", "motion", "sharpness", "width", "license"]
    assert drawn["motion"]["rule"] == "min 0.01"
    assert drawn["motion"]["unit"] == "short sides/s"
    assert drawn["license"]["listed"][0]["value"] == "unknown"
    assert drawn["license"]["listed"][0]["good"]
    clips = run.ledger().clips
    images = sum(kind == "image" for kind in clips["kind"].to_pylist())
    assert images == 1
    counted = int(drawn["motion"]["clips"]) + int(drawn["motion"]["missing"].split()[0])
    assert counted == clips.num_rows - images  # no rule asks an image for motion
