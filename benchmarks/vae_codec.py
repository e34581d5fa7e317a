"""The codec `vae` against the bare model of diffusers: equal numbers, and what the wrapper costs.

Tiny autoencoders of Wan's and LTX-Video's architecture are saved and loaded as a hub's are. Untiled latents must be
the bare model's to the bit; Wan's walk in steps of four frames must be its whole within float rounding; LTX's clip must
pass its encoder at once. The overhead is the median, over pairs of calls in turn, of CPU seconds with the codec over
those of the bare model: pixels in, latents out, as numpy.

python -m benchmarks.vae_codec [--pairs 9] [--seed 0] [--json]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tiny_vaes
from benchmarks.result import show
from curate.codecs import latent_codec

SIZES = {"wan": (17, 128, 192), "ltx": (33, 256, 384)}  # frames, height, width
YARDSTICK = 1.05
EXACT = 1e-5  # of latents whose spread is about one


def bare_encode(model: Any, pixels_BCTHW: np.ndarray) -> np.ndarray:
    """The posterior's mean, as a few lines with diffusers give it."""
    import torch

    with torch.inference_mode():
        return model.encode(torch.from_numpy(pixels_BCTHW)).latent_dist.mode().numpy()


def whole_of_wan(model: Any, pixels_BCTHW: np.ndarray) -> np.ndarray:
    """Wan's latents with all frames after the first in one step."""
    import torch

    model.clear_cache()
    clip, parts = torch.from_numpy(pixels_BCTHW), []
    with torch.inference_mode():
        for part in (clip[:, :, :1], clip[:, :, 1:]):
            parts.append(model.encoder(part, feat_cache=model._enc_feat_map, feat_idx=[0]))
        found = model.quant_conv(torch.cat(parts, 2)).chunk(2, dim=1)[0]
    model.clear_cache()
    return found.numpy()


def cpu_seconds(call: Callable[[], Any]) -> float:
    """CPU seconds of one call."""
    begun = time.process_time()
    call()
    return time.process_time() - begun


def overhead(ours: Callable[[], Any], bare: Callable[[], Any], pairs: int) -> float:
    """Median ratio of CPU seconds; who goes first changes from pair to pair."""
    ours(), bare()
    ratios = []
    for number in range(pairs):
        first, second = (ours, bare) if number % 2 else (bare, ours)
        a, b = cpu_seconds(first), cpu_seconds(second)
        ratios.append(a / b if number % 2 else b / a)
    return statistics.median(ratios)


def measured(kind: str, folder: Path, pairs: int, seed: int) -> dict[str, Any]:
    """Equalities and overheads of one family."""
    import diffusers

    name = {"wan": "AutoencoderKLWan", "ltx": "AutoencoderKLLTXVideo"}[kind]
    path = getattr(tiny_vaes, kind)(folder / kind, seed=seed, width=16)
    model = getattr(diffusers, name).from_pretrained(path, local_files_only=True, low_cpu_mem_usage=False).eval()
    codec = latent_codec("vae", model=str(path), normalise=False, dtype="fp32", device="cpu")
    rng = np.random.default_rng(seed)
    clip = rng.uniform(-1, 1, (1, 3, *SIZES[kind])).astype(np.float32)
    latent, expected = codec.encode(clip), bare_encode(model, clip)
    found: dict[str, Any] = {"how": codec.how(*SIZES[kind]), "encode_equal": bool(np.array_equal(latent, expected))}
    if kind == "wan":
        found["whole_within"] = float(np.abs(latent - whole_of_wan(model, clip)).max() / expected.std())
    else:
        steps: list[int] = []
        hook = model.encoder.register_forward_pre_hook(lambda _, given: steps.append(given[0].shape[2]))
        bare_encode(model, clip)
        hook.remove()
        found["frames_at_once"] = steps
    normalised = latent_codec("vae", model=str(path), dtype="fp32", device="cpu")
    again = normalised.decode(normalised.encode(clip))
    found["normalised_there_and_back_within"] = float(np.abs(again - codec.decode(latent)).max())
    ratio = overhead(lambda: normalised.encode(clip), lambda: bare_encode(model, clip), pairs)
    return {**found, "overhead": round(ratio, 4)}


def main() -> int:
    """Measure both families; 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="rushes-vae-") as folder:
        found = {kind: measured(kind, Path(folder), options.pairs, options.seed) for kind in SIZES}
    for kind, values in found.items():
        print(kind, *(f"{name}={value}" for name, value in values.items()))
    worst = max(values["overhead"] for values in found.values())
    equal = all(values["encode_equal"] for values in found.values())
    kept = equal and found["wan"]["whole_within"] < EXACT and found["ltx"]["frames_at_once"] == [SIZES["ltx"][0]]
    show("vae_codec", worst, "CPU s of the codec / bare model", f"{YARDSTICK}, equal latents", equal=kept, **found)
    return 0 if kept and worst <= YARDSTICK else 1


if __name__ == "__main__":
    sys.exit(main())
