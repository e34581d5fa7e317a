"""The template captioner says what was measured, all of it, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.checks import check
from captioner.template import BRIGHTNESS, MOTION, SHARPNESS, Template
from curate.captioning import Ask
from curate.registry import resolve
from filters._colours import NAMES

WIDE = {
    "clip_id": "c1",
    "duration_s": 2.04,
    "width": 1920,
    "height": 1080,
    "num_frames": 51,
    "motion.score": 0.05,
    "motion.pairs": 15,
    "exposure.brightness": 0.7,
    "sharpness.score": 0.42,
    "sharpness.edges": 0.1,
    "gist.colours": ["gray", "red", "blue"],
    "gist.shares": [0.6, 0.2, 0.03],
}
UNIT = st.floats(0.0, 1.0)
ROWS = st.fixed_dictionaries(
    {
        "clip_id": st.just("c"),
        "duration_s": st.floats(0.0, 500.0),
        "width": st.integers(2, 8000),
        "height": st.integers(2, 8000),
        "num_frames": st.integers(1, 500),
        "motion.score": st.none() | UNIT,
        "motion.pairs": st.integers(0, 50),
        "exposure.brightness": st.none() | UNIT,
        "sharpness.score": st.none() | UNIT,
        "sharpness.edges": st.none() | UNIT,
        "gist.colours": st.none() | st.lists(st.sampled_from(NAMES), max_size=5, unique=True),
        "gist.shares": st.just([0.4, 0.3, 0.1, 0.05, 0.03]),
    }
).map(lambda row: row | {"gist.shares": row["gist.shares"][: len(row["gist.colours"] or ())]})


def _one(row, **changes):
    return Template().texts(row | changes)


def test_it_is_found_by_its_name():
    assert resolve("captioner", "template") is Template


def test_a_video_in_words():
    texts = _one(WIDE)
    assert texts["short"] == ("A landscape video of 2 seconds, mostly gray with some red, with moderate motion.")
    assert texts["dense"] == (
        "A landscape video of 2 seconds in full high definition, 1920 by 1080 pixels. "
        "The picture is bright and sharp, mostly gray with some red. There is moderate motion."
    )


def test_an_image_says_image_and_nothing_of_time_or_motion():
    texts = _one(WIDE, num_frames=1, duration_s=0.0, width=96, height=96)
    for text in texts.values():
        assert text.startswith("A square image")
        assert not {"video", "motion", "second", "seconds"} & set(text.replace(",", "").replace(".", "").split())


def test_nothing_is_said_that_rests_on_nothing():
    assert "motion" not in _one(WIDE, **{"motion.pairs": 0, "motion.score": 0.0})["dense"]
    assert "motion" not in _one(WIDE, **{"exposure.brightness": 0.05, "motion.score": 0.001})["dense"]
    assert "focus" not in _one(WIDE, **{"sharpness.edges": 0.0, "sharpness.score": 0.0})["dense"]


def test_what_was_not_measured_is_not_said():
    bare = {name: WIDE[name] for name in ("clip_id", "duration_s", "width", "height", "num_frames")}
    assert Template().texts(bare)["short"] == "A landscape video of 2 seconds."
    assert Template().texts(bare)["dense"] == (
        "A landscape video of 2 seconds in full high definition, 1920 by 1080 pixels."
    )


@pytest.mark.parametrize(("column", "classes"), [("motion.score", MOTION), ("exposure.brightness", BRIGHTNESS),
                                                  ("sharpness.score", SHARPNESS)])  # fmt: skip
def test_every_class_of_a_measure_is_said_and_only_that_one(column, classes):
    ends = [0.0, *(end for end, _ in classes if end is not None)]
    for start, (_, words) in zip(ends, classes, strict=True):
        dense = _one(WIDE, **{"exposure.brightness": 0.4, "sharpness.score": 0.3, column: start})["dense"]
        said = [other for _, other in classes if other is not None and f" {other}" in dense]
        said = [other for other in said if not any(other != longer and other in longer for longer in said)]
        assert said == ([words] if words else [])


@settings(deadline=None)
@given(ROWS)
def test_captions_are_good_and_the_same_again(row):
    first, again = _one(row), _one(row)
    assert first == again
    assert set(first) == {"short", "dense"}
    for kind, text in first.items():
        assert check(text, kind) == ()
        assert text[0] == "A"
        assert text[-1] == "."
        assert "None" not in text


def test_bars_are_no_part_of_the_picture():
    box = {"borders.left": 0.3, "borders.top": 0.0, "borders.right": 0.7, "borders.bottom": 1.0}
    told = _one(WIDE, width=1000, height=500, **box)["dense"]
    assert told.startswith("A portrait video")
    assert "400 by 500 pixels" in told


def test_what_can_be_read_is_quoted():
    told = _one(WIDE, **{"text_overlay.strings": ["HARBOR 42", "ab", "OPEN"]})["dense"]
    assert told.endswith('On the screen one reads "HARBOR 42" and "OPEN".')
    assert "reads" not in _one(WIDE, **{"text_overlay.strings": ["ab"]})["dense"]


def test_it_answers_what_it_is_asked():
    asks = [Ask("c", Template.prompts[kind], WIDE) for kind in ("dense", "short")]
    answers = {answer.ref: answer.text for answer in Template().describe(asks, lambda: None)}
    assert answers == {ask.ref: Template().texts(WIDE)[ask.prompt.kind] for ask in asks}
