"""Parameters and operations of a model in closed form, from its dimensions alone. No torch here.

A multiply-add is two. What is counted is what the model needs: matmuls, forward and backward, without norms, softmax,
optimizer, or anything computed again. Legend: L tokens, S words, K times, D width, P patch numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from trainer.sizes import COORDINATES, ModelConfig

# Of a matmul's forward pass: with the gradient of its weights, or of its inputs too.
_WEIGHTS_ONLY, _BOTH = 2, 3


@dataclass(frozen=True)
class Dimensions:
    """What decides a model's size. `text_in` are the features' numbers; without refiner layers they are the model's."""

    layers: int
    heads: int
    dim: int
    ffn_dim: int
    in_channels: int
    out_channels: int
    patch: int  # numbers of a patch, of one channel
    text_in: int
    refiner_layers: int
    refiner_dim: int
    text_pad_to: int = 0
    freq_dim: int = 256

    @property
    def text_dim(self) -> int:
        """Numbers of a text token as the transformer gets it."""
        return self.refiner_dim if self.refiner_layers else self.text_in

    def operations(self, tokens: int, words: int, times: int) -> int:
        """Return the operations of forward and backward for one clip of L tokens, S words and K times."""
        dim, ffn = self.dim, self.ffn_dim
        keys = words + (1 if self.text_pad_to else 0)
        total = _linear(tokens, self.in_channels * self.patch, dim) * _WEIGHTS_ONLY
        total += _linear(times, self.freq_dim, dim) * _WEIGHTS_ONLY + _linear(times, dim, 7 * dim) * _BOTH
        # Features that a refiner made have a gradient; those of the data have none.
        first = _BOTH if self.refiner_layers else _WEIGHTS_ONLY
        total += _linear(keys, self.text_dim, dim) * first + _linear(keys, dim, dim) * _BOTH
        block = 6 * _linear(tokens, dim, dim) + 2 * _linear(keys, dim, dim) + 2 * _linear(tokens, dim, ffn)
        block += 4 * tokens * (tokens + keys) * dim
        total += self.layers * block * _BOTH + _linear(tokens, dim, self.out_channels * self.patch) * _BOTH
        return total + self._refiner_operations(words)

    def _refiner_operations(self, words: int) -> int:
        """Return a refiner's operations for one text: four maps of its width, an MLP of twice that, attention."""
        if not self.refiner_layers:
            return 0
        dim = self.refiner_dim
        block = _linear(words, dim, 4 * dim) + 2 * _linear(words, dim, 2 * dim) + 4 * words * words * dim
        return _linear(words, self.text_in, dim) * _WEIGHTS_ONLY + self.refiner_layers * block * _BOTH

    def tensors(self) -> Counter[tuple[str, tuple[int, ...]]]:
        """Return how many parameters there are of each (kind, shape).

        Kinds: `hidden` for the matrices that Muon takes, `rest` for what is always AdamW's (optimizers.py).
        """
        dim, ffn, refiner = self.dim, self.ffn_dim, self.refiner_dim
        found: Counter[tuple[str, tuple[int, ...]]] = Counter()

        def linear(kind: str, inputs: int, outputs: int, count: int = 1) -> None:
            found[kind, (outputs, inputs)] += count
            found["rest", (outputs,)] += count

        linear("rest", self.in_channels * self.patch, dim)
        linear("rest", self.freq_dim, dim)
        linear("hidden", dim, dim)
        linear("hidden", dim, 6 * dim)
        linear("hidden", self.text_dim, dim)
        linear("hidden", dim, dim)
        linear("rest", dim, self.out_channels * self.patch)
        found["rest", (1, 2, dim)] += 1
        linear("hidden", dim, dim, 8 * self.layers)
        linear("hidden", dim, ffn, self.layers)
        linear("hidden", ffn, dim, self.layers)
        found["rest", (dim,)] += 6 * self.layers  # queries' and keys' norms, and the norm before the text
        found["rest", (1, 6, dim)] += self.layers
        if self.refiner_layers:
            linear("rest", self.text_in, refiner)
            linear("hidden", refiner, 3 * refiner, self.refiner_layers)
            linear("hidden", refiner, refiner, self.refiner_layers)
            linear("hidden", refiner, 2 * refiner, self.refiner_layers)
            linear("hidden", 2 * refiner, refiner, self.refiner_layers)
            found["rest", (refiner,)] += 2 + 4 * self.refiner_layers
        return found

    @property
    def parameters(self) -> int:
        """Numbers of all parameters."""
        return sum(count * math.prod(shape) for (_, shape), count in self.tensors().items())


def dimensions(config: ModelConfig, channels: int, features: int, *, refined: bool, text_pad_to: int) -> Dimensions:
    """Return the dimensions of the model that a run builds for latents of these channels and texts of these features.

    refined: whether texts are weight-free, and the refiner of the config is used (loop.build_model).
    """
    inputs = channels + (COORDINATES if config.coordinates else 0)
    return Dimensions(
        config.layers, config.heads, config.dim, config.ffn_dim, inputs, channels,
        math.prod(config.patch), features, config.refiner_layers if refined else 0, config.refiner_dim, text_pad_to,
    )  # fmt: skip


def _linear(rows: int, inputs: int, outputs: int) -> int:
    return 2 * rows * inputs * outputs
