"""The parts of the recipe: labels, fits, thresholds, what is asked next, cut-and-paste, the file of a head."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from curate.errors import SpecError
from filters.heads import loops
from filters.heads.artifact import Artifact, load, save
from filters.heads.calibrate import bias_for, measured
from filters.heads.cutpaste import augmented, cut_paste, region
from filters.heads.fit import fit
from filters.heads.labels import LabelStore
from filters.heads.sheet import read_answers, write_sheet


def _blobs(seed=0, count=120, dims=8, apart=2.0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3 == 0
    return rng.normal(0, 1, (count, dims)) + apart * labels[:, None], labels


@pytest.mark.parametrize("kind", ["linear", "rbf"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_head_decides_as_scikit_learn_does(kind, seed):
    features, labels = _blobs(seed)
    head = fit(features, labels, kind)
    known = (features - features.mean(0)) / features.std(0)
    if kind == "linear":
        model = LogisticRegression(class_weight="balanced", max_iter=1000)
    else:
        model = SVC(gamma=1 / features.shape[1], class_weight="balanced")
    expected = model.fit(known, labels).decision_function(known)
    assert head.decide(features) == pytest.approx(expected, abs=1e-8)
    assert ((head.decide(features) > 0) == labels).mean() > 0.9


def test_one_class_is_no_training_set():
    with pytest.raises(SpecError, match="labels of both kinds"):
        fit(np.zeros((4, 2)), np.ones(4, bool))


@given(
    scores=st.lists(st.floats(-5, 5), min_size=30, max_size=200),
    target=st.sampled_from([0.0, 0.01, 0.05, 0.2]),
    data=st.data(),
)
def test_the_bias_misses_no_more_than_it_may(scores, target, data):
    labels = np.array(data.draw(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores))))
    scores = np.array(scores)
    if labels.sum() < 20:
        with pytest.raises(SpecError, match="label more"):
            bias_for(scores, labels, target)
        return
    found = measured(scores + bias_for(scores, labels, target), labels)
    assert found["missed_share"] <= target
    assert found["missed_share"] <= found["missed_share_at_most"]
    assert found["misses"] + round((1 - found["missed_share"]) * found["positives"]) == found["positives"]


def test_measured_says_what_none_of_a_thousand_is_worth():
    found = measured(np.ones(1024), np.ones(1024, bool))
    assert found["missed_share_at_most"] == pytest.approx(1 - 0.05 ** (1 / 1024))


words = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=25)  # every label is a file that is synced to disk
@given(said=st.lists(st.tuples(words, st.booleans(), st.sampled_from(["ann", "bob"])), max_size=20))
def test_the_latest_word_counts_and_nothing_is_lost(said, tmp_path_factory):
    store = LabelStore(tmp_path_factory.mktemp("labels") / "labels.parquet")
    for item, label, who in said:
        store.add([(item, label)], who, "seed")
    known = store.known()
    assert store.rows().num_rows == len(said)
    assert known.truth == {item: label for item, label, _ in said}
    assert set(known.conflicts) == {i for i, _, _ in said if len({x for j, x, _ in said if j == i}) == 2}
    assert list(known.truth) == sorted(known.truth)


def test_labels_need_a_name_and_a_reason(tmp_path):
    store = LabelStore(tmp_path / "labels.parquet")
    with pytest.raises(SpecError, match="--who"):
        store.add([("a", True)], " ", "seed")
    with pytest.raises(SpecError, match="unknown origin"):
        store.add([("a", True)], "ann", "guess")


def test_what_an_audit_labelled_trains_nothing(tmp_path):
    store = LabelStore(tmp_path / "labels.parquet")
    store.add([("a", True)], "ann", "audit")
    store.add([("a", False), ("b", True)], "ann", "seed")  # a later word on it changes the label, not what it is for
    assert store.known(("seed",)).truth == {"b": True}
    assert store.known(("audit",)).truth == {"a": False}


def test_loop_a_shows_what_is_flagged_where_nothing_is_missed():
    scores = np.linspace(-1, 1, 100)
    taken = np.zeros(100, bool)
    taken[90:] = True
    found = loops.propose_a(scores, taken, np.array([0.0, 0.5]), 20, seed=0)
    assert len(found) == len(set(found)) == 20
    assert not taken[found].any()
    assert (scores[found] >= 0).all()
    assert (found == loops.propose_a(scores, taken, np.array([0.0, 0.5]), 20, seed=0)).all()


def test_loop_b_finds_a_kind_of_which_few_are_labelled():
    rng = np.random.default_rng(0)
    centre = np.zeros(16)
    centre[3] = 6.0
    main, rare = rng.normal(0, 1, (60, 16)) + 3.0 * (np.arange(16) < 2), rng.normal(0, 1, (4, 16)) + centre
    labelled = np.concatenate([main, rare, rng.normal(0, 1, (60, 16))])
    labels = np.arange(len(labelled)) < 64
    pool = np.concatenate([rng.normal(0, 1, (400, 16)), rng.normal(0, 1, (20, 16)) + centre])
    found = loops.propose_b(labelled, labels, pool, np.zeros(420, bool), 60, seed=0)
    assert len(found) == len(set(found)) == 60
    assert (found >= 400).sum() >= 10, "three would be chance"
    nothing = loops.propose_b(labelled, labels, pool, np.ones(420, bool), 60, seed=0)
    assert len(nothing) == 0


def test_the_boundary_is_where_the_head_is_undecided():
    scores = np.array([-3.0, 0.1, 2.0, -0.2, 0.0])
    assert list(loops.propose_boundary(scores, np.array([0, 0, 0, 0, 1], bool), 2)) == [1, 3]


@given(st.integers(20, 200), st.integers(20, 200), st.sampled_from([0.05, 0.2, 0.5]), st.integers(0, 99))
def test_a_region_has_its_share_of_the_picture(height, width, area, seed):
    top, bottom, left, right = region(height, width, area, np.random.default_rng(seed))
    assert 0 <= top < bottom <= height
    assert 0 <= left < right <= width
    share = (bottom - top) * (right - left) / (height * width)
    assert abs(share - area) <= (height + width) * np.sqrt(area) / (2 * height * width) + 0.25 / (height * width)


def test_matched_pairs_differ_in_what_was_pasted_alone():
    rng = np.random.default_rng(0)
    clean, positive, other = (np.full((50, 80, 3), level, np.uint8) for level in (10, 200, 100))
    bad, good = cut_paste(positive, clean, other, rng)
    assert ((bad == 200) | (bad == 10)).all()
    assert ((bad == 200) == (good == 100)).all()
    pictures, labels = augmented(np.stack([positive, clean, other]), np.array([True, False, False]), 0, per_positive=3)
    assert (len(pictures), int(labels.sum())) == (9, 4)


def test_a_head_is_one_file_that_knows_when_it_was_changed(tmp_path):
    features, labels = _blobs()
    facts = {"category": "hate", "encoder": {"name": "gist"}, "labels": "d", "policy": "p", "audit": None}
    artifact = Artifact(fit(features, labels), facts, {"0.weight": np.ones((2, 3), np.float32)})
    path = tmp_path / "h.safetensors"
    save(path, artifact)
    again = load(path)
    assert again.head.decide(features) == pytest.approx(artifact.head.decide(features), abs=0)
    assert again.sha256 == artifact.sha256
    assert (again.network["0.weight"] == 1).all()
    save(path, Artifact(artifact.head, {**facts, "audit": {"misses": 0}}, artifact.network))
    assert load(path).sha256 == artifact.sha256, "an audit changes no decision"
    data = path.read_bytes()
    path.write_bytes(data[:-4] + b"\x00\x00\x00\x40")
    with pytest.raises(SpecError, match="was changed after it was written"):
        load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(SpecError, match="is no head"):
        load(path)


def test_a_sheet_is_answered_by_numbers(tmp_path):
    items = [f"clip{n}" for n in range(8)]
    write_sheet(tmp_path / "next", items, [np.zeros((40, 60, 3), np.uint8)] * 8, "loop_b")
    labels, origin = read_answers(tmp_path / "next", "2, 5-6")
    assert (origin, [item for item, label in labels if label]) == ("loop_b", ["clip1", "clip4", "clip5"])
    assert len(labels) == 8
    assert read_answers(tmp_path / "next", "")[0] == [(item, False) for item in items]
    for wrong, says in (("9", "no 9"), ("x", "not 'x'"), ("0", "no 0")):
        with pytest.raises(SpecError, match=says):
            read_answers(tmp_path / "next", wrong)
    assert json.loads((tmp_path / "next.json").read_text())["items"] == items
