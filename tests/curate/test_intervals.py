"""Exact intervals, against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, ttest_1samp

from curate.intervals import clopper_pearson, mean_interval, upper_bound


@given(
    st.integers(0, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95, 0.99])
)
def test_they_are_those_of_scipy(counts, confidence):
    hits, count = counts
    if count == 0:
        assert clopper_pearson(0, 0) == (0.0, 1.0)
        return
    expected = binomtest(hits, count).proportion_ci(confidence, "exact")
    assert clopper_pearson(hits, count, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_miss_of_a_thousand_bounds_the_share():
    assert upper_bound(0, 1024, 0.975) == pytest.approx(1 - 0.025 ** (1 / 1024))
    with pytest.raises(ValueError, match="3 of 2"):
        clopper_pearson(3, 2)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=60), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_intervals_of_means_are_those_of_scipy(values, confidence):
    expected = ttest_1samp(values, 0.0).confidence_interval(confidence) if len(set(values)) > 1 else None
    found = mean_interval(values, confidence)
    if expected is None:
        assert found == pytest.approx((values[0], values[0]))
    else:
        assert found == pytest.approx((expected.low, expected.high), rel=1e-6, abs=1e-6)


def test_one_value_says_nothing_of_a_mean():
    assert mean_interval([3.0]) is None
    assert mean_interval([]) is None
