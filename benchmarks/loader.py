"""The reader against bare pyarrow on the same shards, and what a training waits for its data.

    python -m benchmarks.loader [--seed 0] --json

Bare pyarrow reads every row group's latents and shapes and does nothing with them. The reader gives float32 arrays: in
the order of the shards, and in an epoch's order from a cache that holds an eighth of the latents. Rounds alternate; the
value is the median of the rounds' ratios. The same latents then train a small model.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import _random_dataset
from benchmarks.result import show
from curate.dataset.parquet import Sizes
from curate.dataset.reader import Dataset
from trainer.config import TrainConfig
from trainer.draws import epoch_order
from trainer.train import train

CLIPS, SHAPES, ROUNDS = 2048, ((48, 5, 16, 16), (48, 3, 16, 28), (48, 1, 24, 24)), 9


def make_dataset(path: Path, seed: int, clips: int, shapes: tuple[tuple[int, int, int, int], ...]) -> Path:
    """Write a dataset of random latents of these shapes."""
    rng = np.random.default_rng(seed)

    def tables() -> Iterator[pa.Table]:
        for number in range(clips):
            latent = rng.standard_normal(shapes[number % len(shapes)], np.float32)
            yield pa.Table.from_pylist([_random_dataset.clip(number, latent, "a thing")])

    return _random_dataset.write(path, tables(), ["a thing"], sizes=Sizes(shard_rows=512))


def bare(path: Path) -> int:
    """Read all row groups with pyarrow alone; the rows."""
    rows = 0
    for shard in sorted((path / "clips").iterdir()):
        with pq.ParquetFile(shard, memory_map=True) as file:
            for group in range(file.num_row_groups):
                rows += file.read_row_group(group, columns=["latent", "shape"]).num_rows
    return rows


def timed(work: Callable[[], int]) -> tuple[float, float]:
    """Rows a second, by the clock and by the processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    rows = work()
    return rows / (time.perf_counter() - wall), rows / (time.process_time() - cpu)


def rates(path: Path, seed: int) -> dict[str, Any]:
    """Rates of the reader over those of pyarrow, by round."""
    sizes = np.array([2 * int(np.prod(shape)) for shape in Dataset(path).columns["shape"]])
    small = int(sizes.sum() / 8)
    order = epoch_order(seed, 0, np.arange(len(sizes)), sizes, small / 4).tolist()  # as the trainer has it

    def read(dataset: Dataset, indices: list[int]) -> int:
        return sum(1 for _ in dataset.latents(indices))

    found: dict[str, list[tuple[float, float]]] = {"shards": [], "epoch": []}
    rows = []
    bare(path)
    for _ in range(ROUNDS):
        base = timed(lambda: bare(path))
        rows.append(base[0])
        for name, indices in (("shards", list(range(len(sizes)))), ("epoch", order)):
            opened = Dataset(path, small, verify=False)  # nothing is held yet
            ours = timed(lambda opened=opened, indices=indices: read(opened, indices))
            found[name].append((ours[0] / base[0], ours[1] / base[1]))
    return {
        "rows_per_s_bare": round(median(rows)),
        "mib": round(float(sizes.sum()) / 2**20),
        "cache_mib": small >> 20,
        **{name: round(median(wall for wall, _ in ratios), 3) for name, ratios in found.items()},
        **{f"{name}_by_core_seconds": round(median(cpu for _, cpu in ratios), 3) for name, ratios in found.items()},
    }


def waited(path: Path, out: Path, seed: int) -> dict[str, float]:
    """Share of a training's time that it waits for data."""
    config = TrainConfig.model_validate({
        "steps": 20, "packs_per_step": 2, "tokens_per_pack": 640, "seed": seed, "threads": 1, "precision": "fp32",
        "captions": {"short": 1.0}, "allow_unscreened": _random_dataset.UNSCREENED, "cache_mib": 24,
    })  # fmt: skip
    train(path, out, config)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    seconds = sum(record["seconds"] for record in log)
    return {
        "wait_share": round(sum(record["data_wait_s"] for record in log) / seconds, 5),
        "wait_share_after_the_first_step": round(
            sum(r["data_wait_s"] for r in log[1:]) / sum(r["seconds"] for r in log[1:]), 5
        ),
        "seconds_per_step": round(seconds / len(log), 4),
    }


def main() -> None:
    """Command line; the last line printed is one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = make_dataset(Path(folder) / "data", args.seed, CLIPS, SHAPES)
        read = rates(path, args.seed)
        print(f"reading: {read}", flush=True)
        share = waited(path, Path(folder) / "run", args.seed)
    show(
        "loader", min(read["shards"], read["epoch"]), "rows/s over bare pyarrow's", ">= 0.8",
        reading=read, **share, wait_yardstick="<= 0.02", clips=CLIPS, rounds=ROUNDS, seed=args.seed,
    )  # fmt: skip


if __name__ == "__main__":
    main()
