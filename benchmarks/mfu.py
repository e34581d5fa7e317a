"""What share of this machine's matmul rate training reaches: a model of width 256 in bf16 on the CPU.

The rate is that of the model's own matmuls, each shape and layout alone, in the same run: `python -m benchmarks.mfu`.
A step is forward, backward, clipping, optimizers and average over prepared tensors; the loop is `trainer.train` with
its data, log and checkpoints, and the allocator keeps memory as it does in a run. Give the machine nothing else to do.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import _random_dataset
from benchmarks.result import show
from curate.codecs import latent_codec
from curate.dataset.reader import Dataset
from curate.stages.learn import _KEEP_MEMORY
from trainer.config import TrainConfig
from trainer.data import TrainingData
from trainer.flops import measured_peak
from trainer.loop import Trainer
from trainer.train import train

STEP, LOOP = 0.35, 0.25  # promised; 0.45 and 0.35 are aimed at
CLIPS, FRAMES, SIDE = 256, 17, 64
WARM_UP, STEPS, ROUNDS = 5, 20, 12
_MATMULS = {torch.ops.aten.mm.default: 0, torch.ops.aten.bmm.default: 0, torch.ops.aten.addmm.default: 1}

Layout = tuple[tuple[int, ...], tuple[int, ...], torch.dtype]  # shape, strides


class Matmuls(TorchDispatchMode):
    """Counts the matmuls that are made, by the layouts of their two operands."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[tuple[Layout, Layout]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _MATMULS:
            left, right = args[_MATMULS[func] : _MATMULS[func] + 2]
            self.seen[_layout(left), _layout(right)] += 1
        return func(*args, **(kwargs or {}))


def _layout(tensor: torch.Tensor) -> Layout:
    return tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype


def matmul_rate(seen: Counter[tuple[Layout, Layout]]) -> tuple[float, float]:
    """Return the operations of the matmuls, and the seconds that each takes alone at its best, summed."""
    operations = seconds = 0.0
    for (left, right), count in seen.items():
        pair = []
        for shape, strides, dtype in (left, right):
            pair.append(torch.empty_strided(shape, strides, dtype=dtype).normal_())
        best = float("inf")
        for _ in range(ROUNDS):
            start = time.perf_counter()
            torch.matmul(*pair)
            best = min(best, time.perf_counter() - start)
        operations += count * 2.0 * pair[0].numel() * right[0][-1]
        seconds += count * best
    return operations, seconds


def make_dataset(path: Path, seed: int) -> Path:
    """Write a dataset of random latents of one size."""
    codec, rng = latent_codec("dct"), np.random.default_rng(seed)
    caption = "a red circle moves slowly to the left over a grey ground"
    shape = (codec.channels, 1 + (FRAMES - 1) // codec.time_factor, *[SIDE // codec.space_factor] * 2)
    clips = [
        _random_dataset.clip(number, rng.standard_normal(shape, dtype=np.float32), caption) for number in range(CLIPS)
    ]
    return _random_dataset.write(path, [pa.Table.from_pylist(clips)], [caption])


def measure(folder: Path, threads: int, seed: int) -> dict[str, Any]:
    """Return the rates, in operations a second, and the medians of step and loop, in seconds."""
    torch.set_num_threads(threads)
    dataset = make_dataset(folder / "dataset", seed)
    config = TrainConfig.model_validate({
        "model": {"layers": 4, "heads": 4, "head_dim": 64, "ffn_dim": 1024}, "batch": 64, "steps": WARM_UP + STEPS,
        "precision": "bf16", "threads": threads, "captions": {"short": 1.0},
        "allow_unscreened": _random_dataset.UNSCREENED, "checkpoint_every": 10,
    })  # fmt: skip
    trainer = Trainer(TrainingData(Dataset(dataset), config), config, "bf16")
    groups = trainer.data.step(0)
    flops = sum(trainer.group_flops(group) for group in groups)
    with Matmuls() as matmuls:
        for group in groups:
            trainer.group_loss(trainer.model, group)[0].backward()
    steps = []
    for step in range(WARM_UP + STEPS):
        start = time.perf_counter()
        trainer.step(step, groups)
        steps.append(time.perf_counter() - start)
    operations, alone = matmul_rate(matmuls.seen)
    ends: list[float] = []
    train(dataset, folder / "run", config, on_step=lambda record: ends.append(time.perf_counter()))
    loop = (ends[-1] - ends[WARM_UP - 1]) / STEPS
    return {
        "flops": flops, "matmul_flops": operations, "rate": operations / alone,
        "step": statistics.median(steps[WARM_UP:]), "loop": loop, "square": measured_peak(2048, 2048, 2048, "bf16"),
    }  # fmt: skip


def main() -> int:
    """Run the command line; exit code 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print nothing but the result")
    args = parser.parse_args()
    if not _KEEP_MEMORY.keys() <= os.environ.keys():
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.mfu", *sys.argv[1:]], os.environ | _KEEP_MEMORY)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.threads, args.seed)
    step, loop = (found["flops"] / found[name] / found["rate"] for name in ("step", "loop"))
    if not args.json:
        print(f"{args.threads} threads; {found['flops'] / 1e9:.1f} GFLOP a step, of which torch made as matmuls "
              f"{found['matmul_flops'] / 1e9:.1f}")  # fmt: skip
        print(f"its matmuls alone: {found['rate'] / 1e9:.0f} GFLOP/s; 2048 x 2048: {found['square'] / 1e9:.0f} GFLOP/s")
        print(f"step {found['step'] * 1e3:.0f} ms, MFU {step:.3f}; loop {found['loop'] * 1e3:.0f} ms, MFU {loop:.3f}")
    show(
        "mfu", {"step": round(step, 3), "loop": round(loop, 3)}, "share of the rate of the model's own matmuls, bf16",
        f"step >= {STEP}, loop >= {LOOP}", threads=args.threads, gflops=round(found["rate"] / 1e9, 1),
        square_gflops=round(found["square"] / 1e9, 1), step_ms=round(found["step"] * 1e3, 1),
        loop_ms=round(found["loop"] * 1e3, 1), width=256,
    )  # fmt: skip
    return 0 if step >= STEP and loop >= LOOP else 1


if __name__ == "__main__":
    sys.exit(main())
