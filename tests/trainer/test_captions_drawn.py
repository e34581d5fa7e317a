"""Which caption a clip is trained on: kinds by weight, another where it lacks one, the likeliest in validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from curate.dataset.reader import Dataset
from tests.dataset.tiny import tiny_dataset
from tests.trainer.test_train import MIXED, config
from trainer.data import TrainingData
from trainer.provenance import EMPTY_TEXT_ID


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED).path


def with_equal_captions(dataset: Path, weights: dict) -> TrainingData:
    """The dataset as if every clip had a dense caption equal to its short one."""
    opened = Dataset(dataset)
    opened.columns["caption_dense_text_id"] = list(opened.columns["caption_short_text_id"])
    return TrainingData(opened, config(captions=weights, text_dropout=0.0))


def test_kinds_that_share_a_text_keep_both_weights(dataset):
    data = with_equal_captions(dataset, {"short": 0.9, "dense": 0.05, "original": 0.05})
    short = data.dataset.columns["caption_short_text_id"]
    drawn = [data.draw(row, epoch).text_id == short[row] for row in data.rows for epoch in range(200)]
    assert np.mean(drawn) == pytest.approx(0.95, abs=0.02)


def test_one_kind_with_weight_is_drawn_whatever_else_there_is(dataset):
    data = with_equal_captions(dataset, {"original": 1.0, "dense": 0.0})
    wanted = data.dataset.columns["caption_original_text_id"]
    assert all(data.draw(row, epoch).text_id == wanted[row] for row in data.rows for epoch in range(50))


def test_a_clip_without_the_kind_that_is_drawn_gets_another_of_its_own_and_it_is_counted(dataset):
    opened = Dataset(dataset)
    opened.columns["caption_dense_text_id"] = [None] * len(opened)
    weights = {"short": 0.2, "dense": 0.5, "original": 0.3}
    data = TrainingData(opened, config(captions=weights, text_dropout=0.0))
    draws = [data.draw(row, epoch) for row in data.rows for epoch in range(200)]
    assert np.mean([draw.fell_back for draw in draws]) == pytest.approx(0.5, abs=0.04)
    assert np.mean([draw.caption == "short" for draw in draws]) == pytest.approx(0.4, abs=0.04)
    for row in data.rows:
        draw = data.draw(row, 0)
        assert draw.text_id == opened.columns[f"caption_{draw.caption}_text_id"][row]


def test_validation_shows_the_likeliest_caption_and_never_drops_it(dataset):
    settings = config(captions={"original": 0.2, "short": 0.8}, text_dropout=1.0, eval_clips=3)
    data = TrainingData(Dataset(dataset), settings)
    short = data.dataset.columns["caption_short_text_id"]
    for row in data.held_out:
        group = data.group([row], [0], [0.5])
        assert np.array_equal(group.text_BSF[0].numpy(), data.dataset.text(short[row]))
        empty = data.group([row], [0])
        assert np.array_equal(empty.text_BSF[0].numpy(), data.dataset.text(EMPTY_TEXT_ID))
