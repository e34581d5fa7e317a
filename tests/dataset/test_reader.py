"""The reader: threads, a bound on what is held, sha256 before the first use, and file systems of fsspec."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from curate.dataset.reader import Dataset
from curate.dataset.rows import GroupCache
from curate.errors import SpecError, StorageError
from tests.dataset.tiny import tiny_dataset

MIXED = ((9, 32), (5, 16), (1, 32), (9, 32), (5, 24), (9, 16), (1, 16), (5, 32))


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tiny_dataset(tmp_path_factory.mktemp("data") / "d", MIXED, shard_rows=4, row_group_rows=2).path


@pytest.fixture(scope="module")
def wanted(path) -> list[np.ndarray]:
    dataset = Dataset(path)
    return [dataset.latent(row) for row in range(len(dataset))]


@pytest.mark.parametrize("cache_bytes", [1, 1 << 20])
def test_latents_come_in_the_order_asked_whatever_is_kept(path, wanted, cache_bytes):
    order = np.random.default_rng(0).permutation(np.repeat(np.arange(8), 3)).tolist()
    dataset = Dataset(path, cache_bytes)
    for latent, row in zip(dataset.latents(order), order, strict=True):
        assert np.array_equal(latent, wanted[row])
    with pytest.raises(IndexError):
        list(dataset.latents([0, 8]))


def test_threads_share_a_reader(path, wanted):
    dataset = Dataset(path, 1)
    rows = np.random.default_rng(1).integers(0, 8, 400).tolist()
    with ThreadPoolExecutor(8) as threads:
        for row, latent in zip(rows, threads.map(dataset.latent, rows), strict=True):
            assert np.array_equal(latent, wanted[row])


def test_a_cache_is_bounded_reads_once_and_forgets_failures():
    cache, reads, gate = GroupCache(100), [], threading.Event()

    def read(name: str) -> list[np.ndarray]:
        gate.wait(10)
        reads.append(name)
        return [np.zeros(40, np.uint8)]

    def keyed(number: int) -> list[np.ndarray]:
        return cache.get(("a", number), lambda: read(f"a{number}"))

    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(keyed, 0) for _ in range(4)]
        gate.set()
        assert len({id(one.result()) for one in asked}) == 1
    assert reads == ["a0"]
    for number in (1, 0, 2):  # 0 was used after 1, which goes
        keyed(number)
    assert set(cache._held) == {("a", 0), ("a", 2)}
    assert cache._bytes == 80

    def fail() -> list[np.ndarray]:
        raise StorageError("no")

    with pytest.raises(StorageError):
        cache.get(("b", 0), fail)
    assert len(cache.get(("b", 0), lambda: read("b"))) == 1


def damaged(path: Path, where: Path) -> Path:
    """A copy of the dataset in which one bit of the first shard of latents is turned over."""
    shutil.copytree(path, where)
    shard = where / Dataset(path).card["shards"]["clips"][0]["path"]
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1
    shard.write_bytes(data)
    return where


def test_a_changed_shard_is_found_before_anything_of_it_is_used(path, wanted, tmp_path):
    dataset = Dataset(damaged(path, tmp_path / "d"))
    assert np.array_equal(dataset.latent(4), wanted[4])  # of the other shard
    for _ in range(2):
        with pytest.raises(StorageError, match="is not what was exported"):
            dataset.latent(0)


@pytest.mark.parametrize("kind", ["clips", "texts"])
def test_a_bit_that_turned_over_is_a_storage_error_wherever_it_is(path, tmp_path, kind):
    """In the footer, in what is read on opening (ids, weights, sizes), in the payload: never other data, never a raw
    error of Arrow. Columns are read before a shard is hashed, which needs the checksums of their pages."""
    copy = Path(shutil.copytree(path, tmp_path / "d"))
    shard = copy / Dataset(path).card["shards"][kind][0]["path"]
    whole, rng, seen = shard.read_bytes(), np.random.default_rng(0), set()

    def read(where: Path, columns: dict[str, list]) -> None:
        dataset = Dataset(where)
        assert dataset.columns == columns
        dataset.latent(0)
        dataset.text(columns["caption_short_text_id"][0])

    for place in rng.permutation(len(whole))[:40].tolist():
        data = bytearray(whole)
        data[place] ^= 1 << int(rng.integers(8))
        shard.write_bytes(data)
        with pytest.raises(StorageError, match=kind + r"/part-\w+.parquet") as refused:
            read(copy, Dataset(path).columns)
        seen.add("exported (sha256)" in str(refused.value))
    assert seen == {True, False}


def test_a_dataset_may_lie_on_any_file_system(path, wanted, tmp_path):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.put(str(path), "/reader/d", recursive=True)
    try:
        dataset = Dataset("memory://reader/d")
        assert dataset.columns == Dataset(path).columns
        assert all(np.array_equal(a, b) for a, b in zip(dataset.latents(range(8)), wanted, strict=True))
        assert dataset.text(dataset.columns["caption_short_text_id"][0]).shape[1] == 16
        memory.put(str(damaged(path, tmp_path / "d")), "/reader/bad", recursive=True)
        with pytest.raises(StorageError, match="is not what was exported"):
            Dataset("memory://reader/bad").latent(0)
        memory.rm("/reader/d/texts", recursive=True)
        with pytest.raises(StorageError, match="is missing or has another size"):
            Dataset("memory://reader/d")
        with pytest.raises(SpecError, match="no dataset"):
            Dataset("memory://reader/nothing")
    finally:
        memory.rm("/reader", recursive=True)
