"""The `screen` stage of a spec: who screens for what, by which policy, and what becomes of known material."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from curate.registry import nearest
from curate.spec_base import Model, OpenModel, Params, named

REQUIRED_CATEGORIES = ("explicit", "violence", "hate")


class Sealed(Model):
    """What becomes of sealed material beyond being left out of everything, and whom its incidents name.

    policy: `hold` leaves what was stored of it, locked away from every stage; `purge` deletes that; a command (a list
    of words) is given the incident as JSON on its standard input, and the rest is held. No default: duties differ.
    """

    policy: Literal["hold", "purge"] | Annotated[tuple[str, ...], Field(min_length=1)]
    contact: str = Field(min_length=3)


Screens = Annotated[dict[str, Params], BeforeValidator(named)]


class Screen(OpenModel):
    """Screens per category; an empty list is written out and the receipt says `unscreened`.

    Other keys are further categories of the policy. known_hashes: lists of hashes of known material, at most
    `max_age_days` old; a source that holds any of it is sealed. evaluation: what `rushes screen eval` found of these
    screens on labelled footage, which makes its categories calibrated.
    """

    policy: str = "default"
    profile: str = "standard"
    explicit: Screens
    violence: Screens
    hate: Screens
    known_hashes: Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else v)] = ()
    max_age_days: int = Field(default=90, ge=1)
    sealed: Sealed | None = None
    evaluation: str | None = None

    @model_validator(mode="after")
    def _lists(self) -> Screen:
        for name, screens in self.params.items():
            if not isinstance(screens, list | dict):
                known = [*type(self).model_fields, "a category of the policy with a list of screens"]
                raise ValueError(f"unknown key {name!r}; {nearest(name, known)}")
            named(screens)
        return self

    @property
    def categories(self) -> dict[str, dict[str, Any]]:
        """Screens with their parameters by category: the required ones, then the others that the spec names."""
        required = {name: getattr(self, name) for name in REQUIRED_CATEGORIES}
        return {**required, **{name: named(screens) for name, screens in self.params.items()}}
