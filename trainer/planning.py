"""What a training run will take: disk, tokens, operations, hours and memory, before it begins. Pure, and no torch.

Exact from the dimensions: parameters, optimizer states, checkpoints, operations. Estimated: a part of the memory
(memory.py), and hours (an assumed share of a GPU's published rate).
Legend: N clips, C channels, T latent frames, H, W; L tokens, S words, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from trainer.config import TrainConfig
from trainer.counts import Dimensions, dimensions
from trainer.memory import Passes, memory_of_rank, optimizer_bytes
from trainer.mixture import DRAWN, column_weights, stage_weights
from trainer.schedule import Clips, Schedule, stages_of

QUANTILES = (0, 5, 50, 95, 100)


class Gpu(NamedTuple):
    """A GPU's dense bf16 matmul rate (accumulated in float32) in TFLOP/s, its memory in GB, and who says so."""

    tflops: float
    memory_gb: float
    source: str


# Datasheets print the rate with sparsity beside it or alone; the dense one is half of that.
GPUS = {
    "h100-sxm": Gpu(989, 80, "NVIDIA H100 datasheet (1979 with sparsity)"),
    "a100": Gpu(312, 80, "NVIDIA A100 80GB datasheet"),
    "l40s": Gpu(362, 48, "NVIDIA L40S datasheet (733 with sparsity)"),
    "rtx-4090": Gpu(165, 24, "NVIDIA Ada GPU architecture white paper (330 with sparsity)"),
}
DEFAULT_GPUS, DEFAULT_MFU = 8, 0.35


@dataclass(frozen=True)
class Hardware:
    """How many GPUs, the rate of one in FLOP/s by name, its memory in bytes where it is known, and the share used."""

    count: int
    rates: dict[str, tuple[float, float | None]]
    mfu: float

    @classmethod
    def of(cls, count: int, gpu: str | None, peak_tflops: float | None, mfu: float) -> Hardware:
        """Return the GPU named, or one of that rate, or each of GPUS where neither is said. KeyError on a name."""
        if peak_tflops is not None:
            return cls(count, {gpu or "given": (peak_tflops * 1e12, None)}, mfu)
        names = [gpu] if gpu is not None else list(GPUS)
        return cls(count, {name: (GPUS[name].tflops * 1e12, GPUS[name].memory_gb * 1e9) for name in names}, mfu)


@dataclass(frozen=True)
class Material:
    """What is known of the data: latent shapes (N, 4) as (C, T, H, W), and columns by clip as `stage_weights` has them.

    text_bytes and words (of the longest text) are None where no text was encoded yet; features are a text token's
    numbers; refined says whether the texts are weight-free. `assumed` are sentences on what was taken for granted.
    """

    source: str
    shapes_N4: np.ndarray
    columns: dict[str, list[Any]]
    text_bytes: int | None
    words: int | None
    features: int
    refined: bool
    assumed: list[str] = field(default_factory=list)


def forecast(config: TrainConfig, data: Material, hardware: Hardware) -> dict[str, Any]:
    """Return the whole forecast as plain values, bytes and FLOPs as whole numbers.

    Raises SpecError where the trainer would: tiers or sources that the data lack, nothing left to draw from.
    """
    dims = dimensions(
        config.dims, int(data.shapes_N4[0, 0]), data.features, refined=data.refined and config.init is None,
        text_pad_to=config.padded_to,
    )  # fmt: skip
    tokens_N = data.shapes_N4[:, 1:].prod(axis=1) // dims.patch
    fits = tokens_N <= (config.tokens_per_pack or math.inf)
    warnings = _fit_warnings(config, hardware, fits)
    stages: list[dict[str, Any]] = []
    if fits.any():
        stages = _stages(config, dims, data, tokens_N, fits, hardware.count)
    else:
        warnings.append("no clip is left to train on")
    flops = sum(stage["flops"] for stage in stages)
    peak = max((stage["memory"]["peak"] for stage in stages), default=0)
    warnings += [warning for stage in stages for warning in stage.pop("warnings")]
    for name, (_, memory) in hardware.rates.items():
        if memory is not None and peak > memory:
            warnings.append(f"{name}: the peak of {peak / 1e9:.1f} GB does not fit into its {memory / 1e9:.0f} GB")
    rates = {name: rate for name, (rate, _) in hardware.rates.items()}
    return {
        "source": data.source, "clips": len(tokens_N), "parameters": dims.parameters,
        "disk": _disk(config, dims, data),
        "tokens": {
            "of_clips": {f"p{q}": int(np.percentile(tokens_N, q, method="lower")) for q in QUANTILES},
            "of_dataset": int(tokens_N.sum()), "of_run": sum(stage["tokens"] for stage in stages),
        },
        "flops": flops,
        "gpus": hardware.count, "mfu": hardware.mfu,
        "hours": {name: flops / (hardware.count * rate * hardware.mfu) / 3600 for name, rate in rates.items()},
        "stages": stages, "warnings": warnings, "assumed": data.assumed + _assumptions(config, data),
    }  # fmt: skip


def _fit_warnings(config: TrainConfig, hardware: Hardware, fits: np.ndarray) -> list[str]:
    found = []
    if config.packs_per_step % hardware.count:
        found.append(f"packs_per_step {config.packs_per_step} cannot be shared evenly by {hardware.count} ranks")
    if not fits.all():
        found.append(
            f"{int((~fits).sum())} of {len(fits)} clips are larger than tokens_per_pack {config.tokens_per_pack}, and"
            " are left out"
        )
    return found


def _assumptions(config: TrainConfig, data: Material) -> list[str]:
    found = [] if data.words is not None else [f"texts of {_words(config, data)} words: none is encoded yet"]
    if config.eval_clips:
        found.append(f"the {config.eval_clips} clips of eval_clips are counted as if they were trained on")
    return found


def _words(config: TrainConfig, data: Material) -> int:
    """Words of a text that attention sees: all are padded to the longest of a batch."""
    return data.words if data.words is not None else config.padded_to or 256


def _disk(config: TrainConfig, dims: Dimensions, data: Material) -> dict[str, Any]:
    """Bytes on disk. The store and the dataset have a copy each of latents and texts, before compression.

    An old checkpoint goes after the new one is written, so one more than `keep` lies there for a moment.
    """
    latents = 2 * int(data.shapes_N4.prod(axis=1).sum())
    saves = -(-config.steps // config.checkpoint_every)
    newest = [min(number * config.checkpoint_every, config.steps) for number in range(saves, 0, -1)[: config.keep]]
    for_ever = range(config.keep_every, config.steps + 1, config.keep_every) if config.keep_every else range(0)
    kept = len(newest) + len(for_ever) - sum(step in for_ever for step in newest)
    one = 2 * 4 * dims.parameters + optimizer_bytes(dims, config.optimizer)
    return {
        "latents": latents, "texts": data.text_bytes, "copies": 2, "checkpoint": one,
        "checkpoints_kept": kept, "checkpoints": min(saves, kept + 1) * one,
        "model": 4 * dims.parameters,
    }  # fmt: skip


def _stages(
    config: TrainConfig, dims: Dimensions, data: Material, tokens_N: np.ndarray, fits: np.ndarray, world: int
) -> list[dict[str, Any]]:
    """Return tokens, operations and memory of each stage of the curriculum, by what it is expected to draw."""
    count = len(tokens_N)
    base = column_weights(data.columns.get("weight"), [str(place) for place in range(count)])
    base[~fits] = 0.0
    made = [stage_weights(base, data.columns, stage, config.max_synthetic) for stage in stages_of(config)]
    clips = Clips(tokens_N, 2 * data.shapes_N4.prod(axis=1), [weights for weights, _ in made])
    schedule, words = Schedule(config, clips), _words(config, data)
    # Clips of one grid cost the same.
    grids, grid_of = np.unique(data.shapes_N4[:, 1:], axis=0, return_inverse=True)
    grid_of = grid_of.reshape(-1)
    price = np.array([dims.operations(math.prod(g) // dims.patch, words, int(g[0])) for g in grids.tolist()], float)
    found = []
    for number, (stage, (weights, fates)) in enumerate(zip(schedule.stages, made, strict=True)):
        a_epoch = schedule.steps_of_epoch(number)
        epochs = stage.steps / a_epoch
        tokens = float((weights * tokens_N).sum())
        drawn = [place for place, fate in enumerate(fates) if fate == DRAWN and weights[place] > 0]
        passes = _passes(config, tokens_N[drawn], weights[drawn], a_epoch)
        a_step = float(weights.sum()) / a_epoch
        found.append({
            "steps": stage.steps, "clips": len(drawn), "epochs": epochs, "steps_per_epoch": a_epoch,
            "clips_per_step": a_step, "tokens_per_step": tokens / a_epoch, "tokens": round(tokens * epochs),
            "flops": round(float((weights * price[grid_of]).sum()) * epochs),
            "memory": memory_of_rank(config, dims, passes, words, world),
            "warnings": _stage_warnings(f"stage {number + 1}: " if len(made) > 1 else "", len(drawn), a_step, epochs),
        })  # fmt: skip
    return found


def _passes(config: TrainConfig, tokens_N: np.ndarray, weights_N: np.ndarray, a_epoch: float) -> Passes:
    """Return what a pack may hold, which on a GPU is one pass.

    By tokens: as many as fit, and not more than a window of the epoch has. By clips: all of the largest, at worst.
    """
    visits = {
        int(tokens): math.ceil(float(weights_N[tokens_N == tokens].sum()) * max(1.0, 1 / a_epoch))
        for tokens in np.unique(tokens_N)
    }
    clips = None if config.batch is None else -(-config.batch // config.packs_per_step)
    return Passes(visits, clips, config.tokens_per_pack)


def _stage_warnings(name: str, clips: int, a_step: float, epochs: float) -> list[str]:
    found = []
    if clips < a_step:
        found.append(f"{name}a step draws {a_step:.0f} clips, and there are {clips}: it sees some twice")
    if epochs < 1:
        found.append(f"{name}its steps are {epochs:.2f} epochs: some clips are never drawn")
    return found
