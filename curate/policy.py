"""The safety policy: what each category means, what becomes of a clip, and from which value on, by profile.

A policy is YAML: a name of `filters/policy/` or a file of the user's own. Thresholds of safety live only here. Profiles
are ordered from the loosest to the strictest, and a stricter one never keeps what a looser one rejects: a policy in
which a threshold rises on the way is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError, field_validator, model_validator

from curate.errors import SpecError
from curate.registry import nearest
from curate.spec_base import Model
from curate.spec_screen import REQUIRED_CATEGORIES

REVIEW, MINOR_REFERENCED = "review", "minor_referenced"  # thresholds that every clip has beside its profile's
Action = Literal["reject", "quarantine", "review", "tag"]


class Category(Model):
    """One category. screens: for each screen that may decide, its thresholds by profile.

    Beside the profiles stand `review` (from it on a person should look; with a minor signal the source is sealed) and
    `minor_referenced` (holds in place of the profile's for a clip with a minor signal). sexual: takes part in that
    rule. minor_signal: a hit is such a signal, and no head may be trained for it.
    """

    definition: str
    includes: tuple[str, ...]
    excludes: tuple[str, ...]
    severity: Literal["severe", "high", "moderate", "low"]
    action: Action
    sexual: bool = False
    minor_signal: bool = False
    screens: dict[str, dict[str, float]]

    @property
    def trainable(self) -> bool:
        """Whether labels for it may be collected: never of what combines sexual content and minors."""
        return not self.minor_signal


class Policy(Model):
    """A written policy; `profiles` from the loosest to the strictest."""

    name: str
    profiles: tuple[str, ...]
    categories: dict[str, Category]

    @field_validator("profiles")
    @classmethod
    def _some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or {REVIEW, MINOR_REFERENCED} & set(value):
            raise ValueError(f"name at least one profile, and none of them {REVIEW} or {MINOR_REFERENCED}")
        return value

    @model_validator(mode="after")
    def _is_ordered(self) -> Policy:
        for name in REQUIRED_CATEGORIES:
            if name not in self.categories:
                raise ValueError(f"categories: {name} is required and missing")
            if self.categories[name].action == "tag":
                raise ValueError(f"categories.{name}: it is required, so its action cannot be `tag`, which keeps")
        for name, category in self.categories.items():
            if category.sexual and category.minor_signal:
                raise ValueError(f"categories.{name}: sexual content and minors are never one category")
            for screen, levels in category.screens.items():
                _check_levels(f"categories.{name}.screens.{screen}", levels, self.profiles)
        return self

    @cached_property
    def sha256(self) -> str:
        """Digest of what it says, whatever the file's layout."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()

    def thresholds(self, category: str, screen: str, profile: str) -> Thresholds:
        """When a screen's value is too much for a category. Raises SpecError where the policy has no rule."""
        if profile not in self.profiles:
            known = nearest(profile, self.profiles)
            raise SpecError(f"screen.profile: the policy {self.name} has no {profile!r}; {known}")
        rules = self.categories[category].screens
        if screen not in rules:
            raise SpecError(
                f"screen.{category}: the policy {self.name} has no decision rule for {screen}: add thresholds under "
                f"categories.{category}.screens.{screen}; it has rules for {', '.join(sorted(rules)) or 'none'}"
            )
        return Thresholds(rules[screen], profile)


class Thresholds:
    """The values from which on a screen has found a category, for one profile."""

    def __init__(self, levels: Mapping[str, float], profile: str) -> None:
        self.stop = levels[profile]
        self.review = levels.get(REVIEW, self.stop)
        self.minor_referenced = levels.get(MINOR_REFERENCED, self.stop)


def _check_levels(where: str, levels: Mapping[str, float], profiles: tuple[str, ...]) -> None:
    for profile in profiles:
        if profile not in levels:
            raise ValueError(f"{where}: no threshold for the profile {profile}")
    for key in levels:
        if key not in (*profiles, REVIEW, MINOR_REFERENCED):
            raise ValueError(f"{where}: unknown profile {key!r}; {nearest(key, list(profiles))}")
    line = [levels[profile] for profile in profiles]
    if line != sorted(line, reverse=True):
        raise ValueError(f"{where}: a stricter profile has a higher threshold, so it would keep what a looser rejects")
    for key in (REVIEW, MINOR_REFERENCED):
        if levels.get(key, line[-1]) > line[-1]:
            raise ValueError(f"{where}: {key} is above the strictest profile's threshold")


def load_policy(name: str) -> Policy:
    """The policy of this name in `filters/policy/`, or of this file.

    Raises:
        SpecError: there is none, or it is not a policy; the sentence says what to change.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else _shipped() / f"{name}.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        known = [p.stem for p in _shipped().glob("*.yaml")]
        raise SpecError(f"screen.policy: there is no policy {name!r}; {nearest(name, known)}, or a file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"screen.policy: {path} is not valid YAML: {error}") from error
    try:
        return Policy.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise SpecError(f"screen.policy: {path}: {where + ': ' if where else ''}{message}") from error


def _shipped() -> Path:
    spec = find_spec("filters")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "policy"
