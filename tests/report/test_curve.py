"""The training curve: every point in the drawing, a logarithmic axis where it is needed, damage told."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import StorageError
from curate.report import training as t
from curate.report.axes import ticks
from tests.report.conftest import trained


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)]


def view_of(folder: Path, losses: list[float]) -> dict:
    rows = [{"step": i + 1, "loss": loss, "lr": 1e-3, "tokens": 7, "seconds": 0.25} for i, loss in enumerate(losses)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    view = t.training(folder)
    assert view is not None
    return view


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=900))
def test_curves_stay_in_the_drawing(tmp_path_factory: pytest.TempPathFactory, losses: list[float]) -> None:
    view = view_of(tmp_path_factory.mktemp("curve"), losses)
    for line in (view["raw"], view["smooth"], view["rate"]):
        found = points(line)
        assert 0 < len(found) <= t._POINTS
        assert all(t._LEFT <= x <= t._RIGHT and t._TOP - 0.01 <= y <= t._BOTTOM + 0.01 for x, y in found)
        assert [x for x, _ in found] == sorted(x for x, _ in found)


def test_a_falling_loss_falls_on_the_page(tmp_path: Path) -> None:
    view = t.training(trained(tmp_path))
    assert view is not None
    heights = [y for _, y in points(view["smooth"])]
    assert heights == sorted(heights)  # SVG counts downwards
    assert len(view["evaluations"]) == 1
    facts = {fact["name"]: fact["value"] for fact in view["facts"]}
    assert facts["steps"] == "60"
    assert facts["time in steps"] == "30 s"
    assert facts["Gaussian bound from channel covariance alone"] == "0.61"


@pytest.mark.parametrize(("losses", "logarithmic"), [([1.0, 0.5], False), ([1.0, 0.01], True), ([1.0, 0.0], False)])
def test_a_loss_that_falls_far_gets_a_logarithmic_axis(tmp_path: Path, losses: list[float], logarithmic: bool) -> None:
    assert view_of(tmp_path, losses)["logarithmic"] == logarithmic


def test_a_damaged_log_is_told(tmp_path: Path) -> None:
    log = trained(tmp_path) / "log.jsonl"
    log.write_text(log.read_text()[:-20])
    with pytest.raises(StorageError, match=r"log\.jsonl:60"):
        t.training(log.parent)


def test_no_log_is_no_curve(tmp_path: Path) -> None:
    assert t.training(tmp_path) is None


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 9))
def test_ticks_are_few_even_and_inside(low: float, span: float, most: int) -> None:
    high = low + span
    marks = ticks(low, high, most)
    assert len(marks) <= most + 1
    slack = 1e-6 * max(abs(low), abs(high), span)
    assert all(low - slack <= mark <= high + slack for mark in marks)
    gaps = [b - a for a, b in pairwise(marks)]
    assert all(abs(gap - gaps[0]) <= slack for gap in gaps)
