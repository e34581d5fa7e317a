"""The stages `caption` and `check` of a spec: who describes clips, how, and what becomes of a faulty caption."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from curate.spec_base import Model, OpenModel


class Price(Model):
    """What a million tokens cost; the report reckons with it, and nothing else does."""

    input_per_million: float = Field(ge=0)
    output_per_million: float = Field(ge=0)
    currency: str = "USD"

    def of(self, read: int, wrote: int) -> float:
        """Cost of so many tokens, in `currency`."""
        return (read * self.input_per_million + wrote * self.output_per_million) / 1e6


class Match(Model):
    """The test that captions fit their own clips: a CLIP model of open_clip, and how often it must agree.

    sample: captions of each kind that are tested at most. neighbours: other clips that each is held against. frames:
    most frames of a clip. kinds: those tested; None for those that the captioner writes.
    """

    model: str
    sample: int = Field(default=256, ge=2)
    neighbours: int = Field(default=4, ge=1)
    frames: int = Field(default=8, ge=1)
    kinds: tuple[Literal["short", "dense", "original"], ...] | None = Field(default=None, min_length=1)
    min_rate: float = Field(default=0.7, ge=0, le=1)
    seed: int = Field(default=0, ge=0)

    @property
    def how(self) -> dict[str, Any]:
        """What the figures depend on, beside the weights; the bound that they are held to changes none of them."""
        return self.model_dump(mode="json", exclude={"model", "min_rate"})


class CaptionSpec(OpenModel):
    """The captioner, the kinds that it writes, and how it is asked. Other keys are its parameters.

    ask_again: how often an answer that is not accepted is asked for again, with another prompt. window_s: a longer clip
    gets its dense caption window by window. max_frames: most frames of a question. facts: what the prompt is told of
    what was measured: duration, camera, text, motion. price: for the report alone. match: a test of what was written.
    Neither changes a caption.
    """

    with_: str = Field("template", alias="with")
    kinds: tuple[Literal["short", "dense"], ...] = ("short", "dense")
    ask_again: int = Field(default=1, ge=0, le=4)
    window_s: float | None = Field(default=None, gt=0)
    max_frames: int = Field(default=16, ge=1)
    facts: tuple[str, ...] = ()
    price: Price | None = None
    match: Match | None = None

    @model_validator(mode="after")
    def _tests_what_is_written(self) -> CaptionSpec:
        for kind in (self.match.kinds if self.match else None) or ():
            if kind not in (*self.kinds, "original"):
                raise ValueError(f"match.kinds: {kind} captions are not written; `kinds` says which are")
        return self


class Check(Model):
    """Caption checks; a clip is quarantined when every caption of it that training may use fails.

    actions: what becomes of a caption with a fault, where it is not to be the default. counts: columns that say how
    many of a thing there are, by its noun: `{person: people.count}`.
    """

    actions: dict[str, Literal["accept", "fall_back", "quarantine"]] = {}
    counts: dict[str, str] = {}
