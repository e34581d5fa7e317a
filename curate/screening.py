"""Who judges what: the screens of a spec, each asked about its categories, with the thresholds of the policy.

A screen that several categories name with the same parameters runs once for all of them. One whose parameters belong to
a category (`per_category`) has a table a category, named `SCREEN_CATEGORY`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from curate.errors import SpecError
from curate.policy import Category, Policy, Thresholds
from curate.registry import build, nearest, resolve
from curate.spec import REQUIRED_CATEGORIES
from curate.spec import Screen as ScreenSpec
from curate.stage import PROXY, Screen


@dataclass(frozen=True)
class Judge:
    """A screen as it is asked about one category. `stage` is where its values stand in the ledger."""

    category: str
    name: str
    stage: str
    screen: Screen
    rule: Category
    thresholds: Thresholds

    @property
    def reads_texts(self) -> bool:
        """Whether it judges texts, which are there to be read when clips are decided about."""
        return self.screen.reads == "texts"


def judges(spec: ScreenSpec | None, policy: Policy | None) -> list[Judge]:
    """One judge for each category and screen, in the order of the spec.

    Raises:
        SpecError: an unknown screen or category, one without a decision rule, wrong parameters, or material that could
            come to be sealed without a word on what then.
    """
    if spec is None or policy is None:
        return []
    asked: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for category, screens in spec.categories.items():
        if category not in policy.categories:
            known = nearest(category, [*policy.categories, *type(spec).model_fields])
            raise SpecError(f"screen: the policy {policy.name} has no category {category!r}; {known}")
        for name, params in screens.items():
            asked.setdefault(name, []).append((category, params))
    made = {name: _made(name, uses) for name, uses in asked.items()}
    found = []
    for category, screens in spec.categories.items():
        for name in screens:
            stage, screen = made[name][category]
            thresholds = policy.thresholds(category, name, spec.profile)
            found.append(Judge(category, name, stage, screen, policy.categories[category], thresholds))
    _check_sealed(spec, found)
    return found


def calibrations(spec: ScreenSpec | None, found: list[Judge]) -> dict[str, dict[str, Any]]:
    """By category how much its screens are known to miss: of a calibrated one, or of an evaluation of all together.

    Raises:
        SpecError: the evaluation that the spec names is none, or is of other screens.
    """
    known: dict[str, dict[str, Any]] = {}
    for judge in found:
        if (record := judge.screen.calibration()) is not None:
            known.setdefault(judge.category, {})[judge.name] = dict(record)
    if spec is not None and spec.evaluation is not None:
        from curate.evaluating import load_evaluation

        for category, record in load_evaluation(spec.evaluation, found).items():
            known.setdefault(category, {})["all"] = record
    return known


def known_lists(spec: ScreenSpec | None) -> Any:
    """The lists of known material, or None. Raises SpecError for one that is missing, stale or was tampered with."""
    if spec is None or not spec.known_hashes:
        return None
    from filters._hash_lists import read_lists

    return read_lists(spec.known_hashes, spec.max_age_days, datetime.now(UTC).date())


def _made(name: str, uses: list[tuple[str, dict[str, Any]]]) -> dict[str, tuple[str, Screen]]:
    """The table's name and the screen, by category."""
    kind = resolve("screen", name)
    if not issubclass(kind, Screen):
        raise SpecError(f"screen.{uses[0][0]}: {name} is a score and decides nothing; a screen is needed")
    if kind.per_category:
        return {category: (f"{name}_{category}", _built(name, (category,), params)) for category, params in uses}
    if any(params != uses[0][1] for _, params in uses):
        where = ", ".join(category for category, _ in uses)
        raise SpecError(f"screen: {name} has other parameters in one of {where} than in another; it runs once for all")
    screen = _built(name, tuple(category for category, _ in uses), uses[0][1])
    return {category: (name, screen) for category, _ in uses}


def _built(name: str, categories: tuple[str, ...], params: dict[str, Any]) -> Screen:
    if "categories" in params:
        raise SpecError(f"screen {name}: `categories` is what the spec names it under, not a parameter")
    screen: Screen = build("screen", name, {"categories": categories, **params})
    if screen.reads == "proxies" and screen.frames != PROXY:
        raise SpecError(f"screen: {name} reads proxies, so its `frames` must be curate.stage.PROXY")
    return screen


def _check_sealed(spec: ScreenSpec, found: list[Judge]) -> None:
    """What is sealed needs somebody who answers for it, before there is any."""
    signals = any(judge.rule.minor_signal for judge in found)
    why = "`known_hashes`" if spec.known_hashes else ""
    if not why and signals and any(judge.rule.sexual for judge in found):
        why = "sexual content with a minor signal"
    if why and spec.sealed is None:
        raise SpecError(
            f"screen: {why} can seal sources: say what then with `sealed: {{policy: hold | purge | [COMMAND...], "
            "contact: WHO}}`; there is no default, since duties differ by country (docs/safety/known-material.md)"
        )


def refuse_unscreened_to_leave(spec: ScreenSpec | None) -> None:
    """Clips may leave this host only where something was looked for in each required category.

    Raises:
        SpecError: some category is not screened.
    """
    for name in REQUIRED_CATEGORIES:
        if spec is None or not spec.categories[name]:
            raise SpecError(
                f"caption: only screened clips leave this host, and nothing screens for {name}: "
                "add a screen, or serve the model on loopback"
            )
