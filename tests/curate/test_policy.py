"""The written policy: what it must say, and that a stricter profile never keeps what a looser one rejects."""

from __future__ import annotations

import copy

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import SpecError
from curate.policy import MINOR_REFERENCED, REVIEW, load_policy
from tests.conftest import REPO

SHIPPED = REPO / "filters" / "policy" / "default.yaml"
RAW = yaml.safe_load(SHIPPED.read_text())
PAIRS = [(name, screen) for name, category in RAW["categories"].items() for screen in category["screens"]]


def _load(tmp_path, raw):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(raw))
    return load_policy(str(path))


@given(pair=st.sampled_from(PAIRS), value=st.floats(-2, 2), profiles=st.permutations(range(3)))
def test_a_stricter_profile_never_keeps_more(pair, value, profiles):
    policy = load_policy("default")
    looser, stricter = sorted(profiles[:2])
    stops = [policy.thresholds(*pair, policy.profiles[i]) for i in (looser, stricter)]
    assert (value >= stops[0].stop) <= (value >= stops[1].stop)
    for levels in stops:
        assert (value >= levels.stop) <= (value >= levels.review) or levels.review > levels.stop
        assert (value >= levels.stop) <= (value >= min(levels.stop, levels.minor_referenced))
        assert levels.review <= levels.stop


@given(levels=st.lists(st.floats(-5, 5), min_size=3, max_size=3), review=st.floats(-5, 5), minor=st.floats(-5, 5))
def test_a_policy_that_would_is_refused(levels, review, minor, tmp_path_factory):
    raw = copy.deepcopy(RAW)
    said = dict(zip(raw["profiles"], levels, strict=True)) | {REVIEW: review, MINOR_REFERENCED: minor}
    raw["categories"]["hate"]["screens"]["terms"] = said
    good = levels == sorted(levels, reverse=True) and max(review, minor) <= levels[-1]
    folder = tmp_path_factory.mktemp("policy")
    if good:
        assert _load(folder, raw).thresholds("hate", "terms", "strict").stop == levels[-1]
    else:
        with pytest.raises(SpecError, match=r"categories\.hate\.screens\.terms: "):
            _load(folder, raw)


def test_what_it_says_is_its_digest_and_not_its_layout(tmp_path):
    assert _load(tmp_path, RAW).sha256 == load_policy("default").sha256
    raw = copy.deepcopy(RAW)
    raw["categories"]["hate"]["definition"] += "."
    assert _load(tmp_path, raw).sha256 != load_policy("default").sha256


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw["categories"].pop("hate"), "hate is required and missing"),
        (lambda raw: raw["categories"]["hate"].update(action="tag"), "cannot be `tag`, which keeps"),
        (lambda raw: raw["categories"]["hate"].update(action="ignore"), "reject"),
        (lambda raw: raw["categories"]["minors"].update(sexual=True), "never one category"),
        (
            lambda raw: raw["categories"]["hate"]["screens"]["terms"].pop("strict"),
            "no threshold for the profile strict",
        ),
        (lambda raw: raw["categories"]["hate"]["screens"]["terms"].update(stric=1), "unknown profile 'stric'"),
        (lambda raw: raw["categories"]["hate"].pop("excludes"), "excludes"),
        (lambda raw: raw.update(profiles=["review"]), "none of them review"),
        (lambda raw: raw.update(profile="x"), "unknown key 'profile'"),
    ],
)
def test_mistakes_are_named(change, says, tmp_path):
    raw = copy.deepcopy(RAW)
    change(raw)
    with pytest.raises(SpecError, match=says):
        _load(tmp_path, raw)


def test_a_policy_that_is_not_there():
    with pytest.raises(SpecError, match="no policy 'defalt'; nearest: default"):
        load_policy("defalt")
    with pytest.raises(SpecError, match=r"no policy '/none\.yaml'"):
        load_policy("/none.yaml")
