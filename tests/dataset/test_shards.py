"""The export: equal input gives equal bytes, statistics are those of the latents, and it is all or nothing."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.codecs.bf16 import decode_bf16, encode_bf16
from curate.dataset.parquet import Sizes
from curate.dataset.reader import Dataset
from curate.dataset.shards import LatentStats, write_dataset
from curate.errors import SpecError, StorageError
from tests.dataset.tiny import UNSCREENED, clip_rows, header, text_id, text_rows, tiny_dataset

MIXED = ((9, 32), (5, 16), (1, 32), (9, 32), (5, 24), (9, 16), (1, 16))


def tree(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_two_exports_of_one_process_number_do_not_meet(tmp_path):
    """Two hosts that share a disk: the second begins and ends while the first is writing."""
    clips, texts = clip_rows(MIXED), text_rows(["a", "b c"])

    def other_first():
        yield clips.slice(0, 3)
        write_dataset(tmp_path / "d", [clips.slice(0, 1)], [texts], header(), UNSCREENED)
        yield clips.slice(3)

    info = write_dataset(tmp_path / "d", other_first(), [texts], header(), UNSCREENED)
    assert info.clips == len(Dataset(tmp_path / "d")) == len(MIXED)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_text_is_read_without_many_others(tmp_path):
    """A training step wants single texts, of which one of a large encoder is half a MiB."""
    features = np.zeros((500, 1024), np.float32)
    rows = text_rows([str(number) for number in range(12)]).to_pylist()
    heavy = [{**row, "features": encode_bf16(features), "shape": list(features.shape)} for row in rows]
    write_dataset(tmp_path / "d", [clip_rows(((1, 16),))], [pa.Table.from_pylist(heavy)], header(), UNSCREENED)
    (path,) = (tmp_path / "d" / "texts").iterdir()
    footer = pq.ParquetFile(path).metadata
    assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == [4, 4, 4, 1]
    dataset = Dataset(tmp_path / "d")
    dataset.warm_texts([text_id(""), text_id("3")])
    assert dataset.text(text_id("3")).shape == (500, 1024)
    with pytest.raises(SpecError, match="has no text"):
        dataset.warm_texts(["nobody"])


def test_equal_input_gives_equal_bytes_whatever_the_batches(tmp_path):
    clips, texts = clip_rows(MIXED), text_rows(["a", "b c"])
    sizes = {"sizes": Sizes(shard_rows=4, row_group_rows=3)}
    whole = write_dataset(tmp_path / "whole", [clips], [texts], header(), UNSCREENED, **sizes)
    pieces = [clips.slice(i, 1) for i in range(len(clips))]
    cut = write_dataset(tmp_path / "cut", pieces, texts.to_batches(max_chunksize=1), header(), UNSCREENED, **sizes)
    assert tree(tmp_path / "whole") == tree(tmp_path / "cut")
    assert whole.digest == cut.digest
    card = json.loads((tmp_path / "whole" / "dataset.json").read_bytes())
    assert [shard["rows"] for shard in card["shards"]["clips"]] == [3, 4]
    assert card["counts"] == {"clips": 7, "texts": 3, "frames": 39, "hours": pytest.approx(37 / 8 / 3600)}


def test_the_reader_gives_back_what_was_written(tmp_path):
    clips = clip_rows(MIXED)
    tiny_dataset(tmp_path / "d", MIXED, shard_rows=4, row_group_rows=2)
    for cache_bytes in (1, 1 << 20):
        dataset = Dataset(tmp_path / "d", cache_bytes=cache_bytes)
        assert len(dataset) == 7
        assert dataset.clip_ids == clips["clip_id"].to_pylist()
        for row in (6, 0, 3, 2, 5, 1, 4, 0):
            data, shape = clips["latent"][row].as_py(), tuple(clips["shape"][row].as_py())
            assert dataset.shape(row) == shape
            assert np.array_equal(dataset.latent(row), decode_bf16(data, shape))
        assert dataset.text(text_id("x b c")).shape == (3, 16)
        assert dataset.text(text_id("")).shape == (1, 16)
        with pytest.raises(SpecError, match="has no text"):
            dataset.text(text_id("never said"))
        with pytest.raises(IndexError):
            dataset.latent(7)


def test_statistics_merge_to_those_of_all_numbers(tmp_path):
    clips = clip_rows(MIXED)
    tiny_dataset(tmp_path / "d", MIXED)
    stats = Dataset(tmp_path / "d").card["latent_stats"]
    rows = clips.select(["latent", "shape"]).to_pylist()
    numbers = np.concatenate([decode_bf16(r["latent"], tuple(r["shape"])).reshape(8, -1) for r in rows], axis=1)
    assert np.allclose(stats["mean"], numbers.mean(axis=1), atol=1e-5)
    assert np.allclose(stats["std"], numbers.std(axis=1), atol=1e-5)
    merged = LatentStats()
    merged.add(np.zeros((8, 1, 2, 2)))
    with pytest.raises(SpecError, match="3 and 8 channels"):
        merged.add(np.zeros((3, 1, 2, 2)))


def test_a_dataset_is_replaced_as_a_whole(tmp_path):
    tiny_dataset(tmp_path / "d", MIXED)
    tiny_dataset(tmp_path / "d", MIXED[:2])
    assert len(Dataset(tmp_path / "d")) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_a_failed_export_leaves_the_old_dataset(tmp_path):
    tiny_dataset(tmp_path / "d", MIXED)
    before = tree(tmp_path / "d")
    twice = [clip_rows(MIXED), clip_rows(MIXED[:1])]
    with pytest.raises(SpecError, match="comes twice"):
        write_dataset(tmp_path / "d", twice, [text_rows(["a"])], header(), UNSCREENED)
    with pytest.raises(SpecError, match="encode again"):
        write_dataset(tmp_path / "d", [clip_rows(MIXED, channels=4)], [text_rows(["a"])], header(), UNSCREENED)
    assert tree(tmp_path / "d") == before
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_old_leftovers_of_killed_exports_go_and_fresh_ones_stay(tmp_path):
    for name, age_s in ((".d.tmp-1", 90_000), (".d.old-1", 90_000), (".d.tmp-2", 60), (".d.old-2", 60)):
        (tmp_path / name / "clips").mkdir(parents=True)
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    tiny_dataset(tmp_path / "d", MIXED[:1])
    assert sorted(p.name for p in tmp_path.iterdir()) == [".d.old-2", ".d.tmp-2", "d"]


def test_an_empty_dataset_can_be_written_and_read(tmp_path):
    info = write_dataset(tmp_path / "d", [], [text_rows([])], header(), UNSCREENED)
    dataset = Dataset(tmp_path / "d")
    assert (info.clips, info.texts, len(dataset), dataset.card["latent_stats"]) == (0, 1, 0, None)


def test_damage_is_found_when_opening(tmp_path):
    tiny_dataset(tmp_path / "d", MIXED)
    shard = next((tmp_path / "d" / "clips").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(StorageError, match="another size"):
        Dataset(tmp_path / "d")
    with pytest.raises(SpecError, match="no dataset"):
        Dataset(tmp_path)
