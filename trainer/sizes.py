"""Dimensions of the transformer, the sizes that have a name, and the shift of times by a clip's size. No torch here."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from curate.errors import known_keys

Positive = Annotated[int, Field(gt=0)]
COORDINATES = 12  # channels that say where in a clip a token lies: four of each axis (grid.py)
REFINER_HEADS = 4  # of the text refiner (refiner.py); its width is shared out among them


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, value: Any) -> Any:
        return known_keys(cls, value)


class ModelConfig(Frozen):
    """Dimensions of the transformer; width is heads * head_dim. `patch` is (time, height, width) in latents.

    With the velocity objective a token carries its patch's noise through the whole depth, so the width should exceed
    channels * patch numbers. That is an argument, not an ablation.
    """

    layers: Positive = 4
    heads: Positive = 6
    head_dim: Annotated[int, Field(ge=6, multiple_of=2)] = 32
    ffn_dim: Positive = 768
    patch: tuple[Positive, Positive, Positive] = (1, 2, 2)
    coordinates: bool = True  # input channels that say where in the clip a token lies (grid.py)
    refiner_layers: Annotated[int, Field(ge=0)] = 1
    refiner_dim: Annotated[int, Field(gt=0, multiple_of=REFINER_HEADS)] = 128

    @field_validator("patch")
    @classmethod
    def _one_latent_frame(cls, patch: tuple[int, int, int]) -> tuple[int, int, int]:
        if patch[0] != 1:
            raise ValueError(
                f"a patch of {patch[0]} latent frames cannot be trained: known frames and times are per latent frame,"
                " so the first number must be 1"
            )
        return patch

    @property
    def dim(self) -> int:
        """Width of the transformer."""
        return self.heads * self.head_dim

    def tokens(self, shape_CTHW: tuple[int, ...]) -> int:
        """Tokens of a clip whose latent has this shape."""
        return math.prod(shape_CTHW[1:]) // math.prod(self.patch)


ModelName = Literal["dit-xs", "dit-s", "dit-b", "dit-l", "dit-1.3b", "dit-5b", "dit-14b"]
# xs is for a CPU and minutes; s, b and l follow DiT's; 1.3b and 14b are Wan2.1's, 5b is Wan2.2's TI2V. Wan's input
# has no coordinates.
MODELS: dict[str, ModelConfig] = {
    "dit-xs": ModelConfig(),
    "dit-s": ModelConfig(layers=12, heads=6, head_dim=64, ffn_dim=1536, refiner_layers=2, refiner_dim=256),
    "dit-b": ModelConfig(layers=12, heads=12, head_dim=64, ffn_dim=3072, refiner_layers=2, refiner_dim=512),
    "dit-l": ModelConfig(layers=24, heads=16, head_dim=64, ffn_dim=4096, refiner_layers=2, refiner_dim=512),
    "dit-1.3b": ModelConfig(
        layers=30, heads=12, head_dim=128, ffn_dim=8960, coordinates=False, refiner_layers=2, refiner_dim=1024
    ),
    "dit-5b": ModelConfig(
        layers=30, heads=24, head_dim=128, ffn_dim=14336, coordinates=False, refiner_layers=2, refiner_dim=1024
    ),
    "dit-14b": ModelConfig(
        layers=40, heads=40, head_dim=128, ffn_dim=13824, coordinates=False, refiner_layers=2, refiner_dim=1024
    ),
}


class TokenShift(Frozen):
    """A shift that grows with a clip's tokens: `base` up to `base_tokens`, `max` from `max_tokens` on.

    Between them it is a power of the tokens: more tokens say more about one another, so the same noise hides less of
    them. With max / base = sqrt(max_tokens / base_tokens) it is that of Esser et al. 2024; it never runs away, as a
    line through tokens does (Flux's gives 404 at the 32760 tokens of a Wan clip).
    """

    base_tokens: Positive
    base: Annotated[float, Field(gt=0)]
    max_tokens: Positive
    max: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> TokenShift:
        if self.base_tokens >= self.max_tokens or self.base > self.max:
            raise ValueError("shift: base_tokens must be below max_tokens, and base not above max")
        return self


def _by_tokens(value: Any) -> Any:
    return TokenShift.model_validate(value) if isinstance(value, dict) else value


Shift = Annotated[Annotated[float, Field(gt=0)] | TokenShift, BeforeValidator(_by_tokens)]


def shift_at(shift: Shift, tokens: int) -> float:
    """Return the shift of the times of a clip of so many tokens."""
    if not isinstance(shift, TokenShift):
        return shift
    place = math.log(tokens / shift.base_tokens) / math.log(shift.max_tokens / shift.base_tokens)
    return shift.base * (shift.max / shift.base) ** min(max(place, 0.0), 1.0)


def read_shift(value: float | dict[str, float]) -> Shift:
    """Read back a shift from JSON."""
    return TokenShift.model_validate(value) if isinstance(value, dict) else value
