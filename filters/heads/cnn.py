"""A small convolutional network for marks that pooled layout loses: four convolutions, the maximum over positions.

(N, 64, 64, 3) uint8 -> (N, 64). Trained in a minute on one core; torch is imported where it is used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SIDE, WIDTH = 64, 64
_EPOCHS, _BATCH, _RATE = 40, 64, 2e-3
_SHIFT = 8  # pixels by which pictures are moved while training
_CHUNK = 256  # pictures at once when features are taken


def _network() -> Any:
    from torch import nn

    def block(ins: int, outs: int, stride: int) -> list[Any]:
        return [nn.Conv2d(ins, outs, 3, stride, 1, bias=False), nn.BatchNorm2d(outs), nn.ReLU()]

    layers = [*block(3, 16, 1), *block(16, 32, 2), *block(32, 64, 2), *block(64, WIDTH, 2)]
    return nn.Sequential(*layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 1))


def train(pictures_NHWC: np.ndarray, labels_N: np.ndarray, seed: int, epochs: int = _EPOCHS) -> dict[str, np.ndarray]:
    """Train on labelled pictures, both classes weighing the same; the network's weights by name.

    Pictures are moved, mirrored and lit otherwise while training; equal input and seed give equal weights.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = _network().train()
        rng = np.random.default_rng(seed)
        levels = torch.from_numpy(np.ascontiguousarray(pictures_NHWC)).permute(0, 3, 1, 2).float() / 127.5 - 1.0
        truth = torch.from_numpy(labels_N.astype(np.float32))
        share = float(truth.mean())
        weights = torch.where(truth > 0, 0.5 / max(share, 1e-6), 0.5 / max(1.0 - share, 1e-6))
        optimizer = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-2)
        steps = epochs * -(-len(levels) // _BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3 * _RATE, total_steps=steps)
        for _ in range(epochs):
            order = rng.permutation(len(levels))
            for start in range(0, len(order), _BATCH):
                chosen = order[start : start + _BATCH]
                seen = _moved(levels[chosen], rng)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    network(seen)[:, 0], truth[chosen], weights[chosen]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def _moved(levels_NCHW: Any, rng: np.random.Generator) -> Any:
    """A batch moved by some pixels, mirrored by chance, darker or brighter, with the edge repeated."""
    import torch

    padded = torch.nn.functional.pad(levels_NCHW, (_SHIFT,) * 4, mode="replicate")
    top, left = rng.integers(0, 2 * _SHIFT + 1, 2)
    seen = padded[:, :, top : top + SIDE, left : left + SIDE]
    if rng.random() < 0.5:
        seen = seen.flip(3)
    return seen * float(rng.uniform(0.8, 1.2)) + float(rng.uniform(-0.1, 0.1))


def load(weights: dict[str, np.ndarray]) -> Any:
    """The network of these weights, for features."""
    import torch

    network = _network()
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    return network.eval()


def features(network: Any, pictures_NHWC: np.ndarray) -> np.ndarray:
    """(N, 64) float32: what stands before the last layer."""
    import torch

    body = network[:-1]
    found = []
    with torch.inference_mode():
        for start in range(0, len(pictures_NHWC), _CHUNK):
            batch = torch.from_numpy(np.ascontiguousarray(pictures_NHWC[start : start + _CHUNK]))
            found.append(body(batch.permute(0, 3, 1, 2).float() / 127.5 - 1.0).numpy())
    return np.concatenate(found) if found else np.empty((0, WIDTH), np.float32)
