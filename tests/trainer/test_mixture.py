"""How often each clip is drawn: shares of sources, a cap on synthetic media, tiers, and why one is not drawn."""

from __future__ import annotations

import numpy as np
import pytest

from curate.errors import SpecError
from trainer.config import StageConfig
from trainer.draws import visits
from trainer.mixture import column_weights, is_synthetic, stage_weights

COUNT = 400
COLUMNS = {
    "width": [64, 32] * 150 + [64] * 100, "height": [32, 64] * 100 + [128, 64] * 50 + [128] * 100,
    "source_class": ["in_house"] * 300 + ["public.crawl"] * 100, "origin": ["pond"] * 50 + ["unknown"] * 350,
    "is_synthetic": ["true"] * 200 + ["false"] * 150 + ["unknown"] * 50,
}  # fmt: skip
ONES = np.ones(COUNT)


def drawn(weights: np.ndarray) -> np.ndarray:
    """The clips that ten thousand draws give."""
    epochs = -(-10_000 // len(visits(0, 0, weights, ONES)))
    found = np.concatenate([visits(0, epoch, weights, ONES) for epoch in range(epochs)])
    return found[found >= 0]


def test_sources_have_their_shares_and_origin_goes_before_class():
    shares = {"in_house": 1.0, "public.crawl": 3.0, "pond": 4.0}
    weights, fates = stage_weights(ONES, COLUMNS, StageConfig(steps=1, mixture=shares), 1.0)
    assert weights.sum() == pytest.approx(COUNT)
    assert set(fates) == {"trained"}
    found = drawn(weights)
    for clips, share in ((range(50), 0.5), (range(50, 300), 0.125), (range(300, 400), 0.375)):
        error = 4 * (share * (1 - share) / len(found)) ** 0.5
        assert np.isin(found, clips).mean() == pytest.approx(share, abs=error)


@pytest.mark.parametrize("most", [0.0, 0.1, 0.3])
def test_synthetic_media_stay_within_their_cap(most):
    weights, fates = stage_weights(ONES, COLUMNS, StageConfig(steps=1), most)
    share = (drawn(weights) < 200).mean()
    assert share == pytest.approx(most, abs=4 * (most * (1 - most) / 10_000) ** 0.5)
    assert set(fates[:200]) == ({"synthetic"} if most == 0 else {"trained"})
    assert (weights[200:] == 1).all()


@pytest.mark.parametrize("most", [0.0, 0.05, 0.3, 0.9])
@pytest.mark.parametrize("mixture", [{"in_house": 0.9, "public.crawl": 0.1}, {"in_house": 1.0, "public.crawl": 3.0}])
def test_sources_have_their_shares_under_a_cap_on_synthetic_media_too(mixture, most):
    columns = {**COLUMNS, "is_synthetic": ["true"] * 240 + ["false"] * 60 + ["true"] * 10 + ["false"] * 90}
    weights, fates = stage_weights(ONES, columns, StageConfig(steps=1, mixture=mixture), most)
    synthetic, total = np.array(columns["is_synthetic"]) == "true", sum(mixture.values())
    draws = float(weights.sum())
    assert draws == pytest.approx(COUNT if most else 150)
    assert weights[:300].sum() / draws == pytest.approx(mixture["in_house"] / total)
    uncapped = (mixture["in_house"] * 0.8 + mixture["public.crawl"] * 0.1) / total
    assert weights[synthetic].sum() / draws == pytest.approx(min(most, uncapped))
    assert weights[synthetic].sum() <= most * draws + 1e-9
    assert set(fates[:240]) == ({"synthetic"} if most == 0 else {"trained"})
    if most:  # all synthetic clips lose by the same factor, as weighed against the others of their source
        assert weights[0] / weights[299] == pytest.approx(weights[300] / weights[399])


def test_a_cap_above_the_share_that_is_there_changes_nothing():
    assert (stage_weights(ONES, COLUMNS, StageConfig(steps=1), 0.5)[0] == 1).all()


def test_what_a_stage_leaves_out_has_its_reason():
    base = np.array([0.0, *[1.0] * 399])
    stage = StageConfig(steps=1, tiers=[32], mixture={"in_house": 1.0})
    weights, fates = stage_weights(base, COLUMNS, stage, 1.0)
    assert fates[0] == "weight_0"
    assert set(fates[1:200]) == {"trained"}  # 64x32 and 32x64
    assert fates[200] == "tier"
    assert fates[201] == "trained"  # 32x64
    assert set(fates[300:]) == {"tier"}
    assert weights.sum() == pytest.approx(249)
    assert not weights[[0, 200, 399]].any()
    assert set(stage_weights(ONES, COLUMNS, StageConfig(steps=1, mixture={"pond": 1}), 1.0)[1][50:]) == {"mixture"}


@pytest.mark.parametrize(
    ("stage", "most", "sentence"),
    [
        ({"tiers": [720]}, 1.0, r"tiers \[720\] are not in the dataset; .* \[32, 64\]"),
        ({"mixture": {"inhouse": 1.0}}, 1.0, "no clip is of 'inhouse'; .*in_house"),
        ({"mixture": {"public.crawl": 1.0}, "tiers": [32]}, 1.0, "'public.crawl' has no clip that may be drawn"),
        ({}, 0.0, "no clip is left"),
        ({}, 0.2, "all clips that may be drawn are synthetic"),
        ({"mixture": {"pond": 1.0}}, 0.2, "the mixture gives 1 of the draws to sources whose .* are all synthetic"),
        ({"mixture": {"pond": 0.3, "in_house": 0.7}}, 0.2, "the mixture gives 0.3 of the draws"),
        ({"mixture": {"pond": 1.0}}, 0.0, "'pond' has no clip that may be drawn"),
    ],
)
def test_what_the_data_do_not_have_is_refused(stage, most, sentence):
    base = ONES if stage else np.array([1.0] * 200 + [0.0] * 200)  # of synthetic clips alone
    with pytest.raises(SpecError, match=sentence):
        stage_weights(base, COLUMNS, StageConfig(steps=1, **stage), most)


def test_weights_are_numbers_from_0_up():
    assert column_weights([None, 0.0, 2.5], ["a", "b", "c"]).tolist() == [1.0, 0.0, 2.5]
    assert column_weights(None, ["a", "b"]).tolist() == [1.0, 1.0]
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(SpecError, match="clip b has the weight"):
            column_weights([1.0, wrong], ["a", "b"])


def test_copies_that_disagree_are_synthetic_and_silence_is_not():
    assert [is_synthetic(v) for v in ("true", "conflict: false | true", True)] == [True] * 3
    assert [is_synthetic(v) for v in ("false", "unknown", None, "", False)] == [False] * 5
