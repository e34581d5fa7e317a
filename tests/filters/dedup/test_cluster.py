"""The decision: which clip is kept, for what reason the others are not, whatever order they come in."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curate.errors import SpecError
from filters.dedup.cluster import DUPLICATES, DedupParams, find_duplicates
from tests.filters.dedup.clips import hashed, resized, table, take

BOTH = DedupParams.model_validate({"exact": {}, "perceptual": {}})
EXACT = DedupParams.model_validate({"exact": {}})
BASE = hashed("x", take(1))


def _decide(*rows, params=BOTH):
    found = find_duplicates(table(*rows), params)
    assert found.schema.equals(DUPLICATES)
    return {row["clip_id"]: row for row in found.to_pylist()}


def _copy(name, **facts):
    return BASE | {"clip_id": name} | facts


@pytest.mark.parametrize(
    "better",
    [
        {"width": 320, "height": 240},
        {"license": "cc-by"},
        {"duration_s": 3.5},
        {"sharpness.score": 0.5},
        {"clip_id": "a"},
    ],
)
def test_the_better_copy_is_kept(better):
    rows = [_copy("c", **{"sharpness.score": 0.2}), _copy("b", **{"sharpness.score": 0.2} | better)]
    kept = rows[1]["clip_id"]
    found = _decide(*rows)
    assert set(found) == {"c"}
    assert found["c"]["duplicate_of"] == kept
    assert (found["c"]["cluster_id"], found["c"]["cluster_size"], found["c"]["chained"]) == (kept, 2, False)


def test_policies_weigh_in_their_order():
    large = _copy("z", width=1920, height=1080)
    licensed = _copy("y", license="cc0", duration_s=3.3)
    longer = _copy("x", duration_s=60.0, **{"sharpness.score": 0.9})
    assert {row["duplicate_of"] for row in _decide(large, licensed, longer).values()} == {"z"}
    assert {row["duplicate_of"] for row in _decide(licensed, longer).values()} == {"y"}


def test_equal_content_is_exact_and_needs_no_hashes():
    rows = [
        _copy(name, **{"content.hash": value}) for name, value in zip("abcde", ["h", "h", None, None, "g"], strict=True)
    ]
    found = find_duplicates(
        table(*rows).drop_columns(["phash.count", "phash.hashes", "phash.thumbs"]), EXACT
    ).to_pylist()
    assert [(row["clip_id"], row["duplicate_of"], row["kind"]) for row in found] == [("b", "a", "exact:content")]


def test_exact_goes_before_perceptual_and_near_copies_say_how_near():
    frames = take(1)
    rows = [
        hashed("a", frames, **{"content.hash": "h", "width": 999}),
        hashed("b", frames, **{"content.hash": "h"}),
        hashed("c", resized(frames, 96, 72)),
        hashed("d", take(9)),
    ]
    found = _decide(*rows)
    assert set(found) == {"b", "c"}
    assert (found["b"]["kind"], found["b"]["distance"]) == ("exact:content", 0.0)
    assert found["c"]["kind"] == "perceptual"
    assert 0.0 < found["c"]["distance"] < 40.0
    assert found["c"]["matched_share"] > 0.9
    assert {row["cluster_size"] for row in found.values()} == {3}


def test_a_member_that_does_not_match_the_kept_clip_says_so():
    # Head and tail of a long take share nothing; both match the middle, and the head is the best.
    long = take(2, seconds=6.0, speed=0.3)
    rows = [hashed("head", long[:24], width=4000), hashed("middle", long[12:36]), hashed("tail", long[24:])]
    found = _decide(*rows, params=DedupParams.model_validate({"perceptual": {"min_share": 0.4}}))
    assert set(found) == {"middle", "tail"}
    assert (found["middle"]["chained"], found["middle"]["via"]) == (False, "head")
    assert (found["tail"]["chained"], found["tail"]["via"], found["tail"]["duplicate_of"]) == (True, "middle", "head")


FRAMES = [take(seed) for seed in (1, 2)]
POOL = [
    hashed(f"{seed}{name}", change(frames), license=licence, **{"content.hash": content})
    for seed, frames in enumerate(FRAMES)
    for name, change, licence, content in (
        ("a", lambda f: f, "unknown", "same"),
        ("b", lambda f: f, "cc0", "same"),
        ("c", lambda f: resized(f, 96, 72), "cc0", None),
        ("d", lambda f: f[4:], "unknown", None),
        ("e", lambda f: np.ascontiguousarray(f[:, 6:-6, 8:-8]), "unknown", None),
    )
]


@settings(deadline=None, max_examples=25)
@given(st.permutations(range(len(POOL))))
def test_the_decision_does_not_depend_on_the_order(order):
    expected = find_duplicates(table(*POOL), BOTH)
    assert find_duplicates(table(*(POOL[i] for i in order)), BOTH).equals(expected)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(range(len(POOL))), unique=True))
def test_every_clip_is_kept_or_has_a_kept_one(chosen):
    rows = [POOL[i] for i in chosen]
    found = _decide(*rows)
    kept = {row["clip_id"] for row in rows} - set(found)
    assert {row["duplicate_of"] for row in found.values()} <= kept
    for row in found.values():
        members = {other for other, o in found.items() if o["cluster_id"] == row["cluster_id"]} | {row["cluster_id"]}
        assert len(members) == row["cluster_size"]
        assert row["via"] in members - {row["clip_id"]}
        assert row["chained"] == (row["via"] != row["duplicate_of"])


def test_nothing_in_is_nothing_out():
    assert find_duplicates(table(), BOTH).num_rows == 0
    assert find_duplicates(table(BASE), BOTH).num_rows == 0
    assert find_duplicates(table(BASE, _copy("y")), DedupParams()).num_rows == 0


def test_what_is_wrong_is_said():
    with pytest.raises(SpecError, match="license"):
        find_duplicates(table(BASE).drop_columns(["license"]), BOTH)
    with pytest.raises(SpecError, match=r"content\.hash"):
        find_duplicates(table(BASE).drop_columns(["content.hash"]), EXACT)
    with pytest.raises(SpecError, match="twice"):
        find_duplicates(pa.concat_tables([table(BASE), table(BASE)]), EXACT)
    with pytest.raises(ValidationError):
        DedupParams.model_validate({"perceptual": {"distance": 3}})
