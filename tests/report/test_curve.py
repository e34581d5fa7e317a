"""The training curve: every point in the drawing, a logarithmic axis where it is needed, damage told."""

from __future__ import annotations

import base64
import json
import re
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import StorageError
from curate.media.writer import write_image
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


def test_what_the_loss_is_held_against_is_drawn_where_it_is(tmp_path: Path) -> None:
    view = t.training(trained(tmp_path))
    assert view is not None
    assert [line["label"] for line in view["references"]] == ["predicting zero 2.01", "best linear filter 0.37"]
    zero, floor = (line["y"] for line in view["references"])
    dot = view["evaluations"][0]["y"]
    assert [line["text"] - line["y"] for line in view["references"]] == [pytest.approx(-5), pytest.approx(13)]
    assert t._TOP <= zero < dot < floor <= t._BOTTOM
    # The axis is linear: 0.5 lies between 2.01 and 0.37 as it should.
    assert (dot - zero) / (floor - zero) == pytest.approx((2.01 - 0.5) / (2.01 - 0.37), abs=1e-3)


def test_the_validation_is_a_row_a_part(tmp_path: Path) -> None:
    view = t.training(trained(tmp_path))
    assert view is not None
    rows = view["validation"]["rows"]
    assert [(row["split"], row["part"]) for row in rows] == [
        ("", "all"), ("shorter side", "32"), ("", "720"), ("task", "i2v"), ("", "t2v"),
    ]  # fmt: skip
    assert [row["worse"] for row in rows] == [False, False, False, True, False]
    assert rows[3]["linear_floor"] == "-"
    assert (rows[0]["loss"], rows[0]["predict_zero"], rows[0]["clips"]) == ("0.5", "2.01", "3")


def test_an_evaluation_of_an_earlier_version_is_shown_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = trained(tmp_path, evaluations=False)
    (folder / "eval.jsonl").write_text(json.dumps({"step": 60, "loss": 0.5, "curve": [0.5], "channel_floor": 0.61}))
    view = t.training(folder)
    assert view is not None
    assert view["validation"] is None
    assert [line["label"] for line in view["references"]] == ["Gaussian bound from channel covariance alone 0.61"]


def test_the_newest_sheet_is_embedded_no_wider_than_the_page(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    assert t.training(folder)["sheet"] is None  # type: ignore[index]
    for step, level in ((500, 40), (12000, 200), (9000, 90)):
        at = folder / "samples" / f"step-{step:08d}"
        at.mkdir(parents=True)
        write_image(at / "sheet.png", np.full((60, 2800, 3), level, np.uint8))
    view = t.training(folder)
    assert view is not None
    assert (view["sheet"]["step"], view["sheet"]["width"], view["sheet"]["height"]) == ("12,000", 1400, 30)
    jpeg = base64.b64decode(view["sheet"]["data"].partition(",")[2])
    assert abs(float(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean()) - 200) < 2
    (folder / "samples" / "step-00012000" / "sheet.png").write_bytes(b"no picture")
    with pytest.raises(StorageError, match=r"step-00012000.sheet\.png is no readable picture"):
        t.training(folder)
