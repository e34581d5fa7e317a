"""Planted faults of 14 kinds: what models, servers and pictures do to captions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks._caption_false import unseen_text, wrong_camera, wrong_colour, wrong_count
from benchmarks._caption_languages import SAID_ELSEWHERE
from benchmarks._caption_phrases import LEAKS, OPENERS, ORDERS, OTHERS, REFUSALS
from benchmarks._caption_scenes import (
    PROMPT,
    Case,
    dense,
    good,
    pick,
    read_of,
    short,
    with_text,
)
from captioner.checks import MOST_CHARACTERS, MOST_CHARACTERS_OTHERWISE


def lowered(text: str) -> str:
    """A sentence to go on with after an opener."""
    return text[0].lower() + text[1:]


def empty(rng: np.random.Generator) -> Case:
    marks = [" ", ".", "\n", "-", "\u3000", "!", "\u2026", '"', "*", "\t"]
    return Case("".join(pick(rng, marks) for _ in range(int(rng.integers(0, 9)))))


def too_long(rng: np.random.Generator) -> Case:
    kind = pick(rng, ("short", "dense"))
    text, limit = "", MOST_CHARACTERS.get(kind, MOST_CHARACTERS_OTHERWISE)
    while len(text.strip()) <= limit:
        text += dense(rng).text + " "
    return Case(text.strip(), kind)


def repeated(rng: np.random.Generator) -> Case:
    text = good(rng).text
    words = text.split()
    start = int(rng.integers(0, max(1, len(words) - 3)))
    loop = words[start : start + int(rng.integers(1, 9))]
    times = int(rng.integers(4, 15))
    return Case(" ".join([*words[: start + len(loop)], *loop * times]))


def not_utf8(rng: np.random.Generator) -> Case:
    text = good(rng).text
    at = int(rng.integers(0, len(text)))
    return Case(text[:at] + pick(rng, ["\ufffd", "\x00", "\ud83d", "\x1b", "\x85", "\udc80"]) + text[at:])


# What a text may stop after: words and signs that something must follow.
STOPS = (" and", " the", " of the", ",", " (", " with a", " and his", " next to an", " while", ": a", " or",
         ' labelled "',
         " their", " because", " and then the", " than", ", who", " on its", " a small", " the large")  # fmt: skip


def truncated(rng: np.random.Generator) -> Case:
    """Stopped at the token limit, which the server says, somewhere; or not said, after what something must follow."""
    case = dense(rng)
    words = case.text.rstrip(".!?").split(" ")
    cut = " ".join(words[: int(rng.integers(4, len(words) + 1))])
    if rng.random() < 0.2:
        return replace(with_text(case, cut), truncated=True)
    return with_text(case, cut.rstrip(".,!?:;") + pick(rng, STOPS))


def refusal(rng: np.random.Generator) -> Case:
    first, second = pick(rng, REFUSALS), pick(rng, REFUSALS)
    text = pick(rng, (first, f"{first} {short(rng)}", f"{first} {second}", f"{short(rng).rstrip('.')}. {first}"))
    return Case(text, pick(rng, ("short", "dense")))


def wrong_language(rng: np.random.Generator) -> Case:
    if rng.random() < 0.25:
        return Case(pick(rng, OTHERS), pick(rng, ("short", "dense")))
    subjects, verbs, places = SAID_ELSEWHERE[pick(rng, list(SAID_ELSEWHERE))]
    return Case(f"{pick(rng, subjects)} {pick(rng, verbs)} {pick(rng, places)}.", pick(rng, ("short", "dense")))


def boilerplate(rng: np.random.Generator) -> Case:
    case = good(rng)
    return with_text(case, pick(rng, OPENERS).format(lowered(case.text)))


def prompt_leak(rng: np.random.Generator) -> Case:
    case = good(rng)
    return replace(case, text=pick(rng, LEAKS).replace("\\n", "\n").format(case.text), prompt=PROMPT)


def injected(rng: np.random.Generator) -> Case:
    """In the caption's own voice, before it, behind it, alone, or in quotation marks that no OCR read."""
    case, order = good(rng), pick(rng, ORDERS)
    way = rng.random()
    if way < 0.2:
        return with_text(case, order)
    if way < 0.35:
        return replace(
            case,
            text=f'{case.text.rstrip(".")}. A sign reads "{order}"',
            evidence=replace(case.evidence, texts=read_of(rng, "BAKERY")),
        )
    return with_text(case, f"{order} {case.text}" if way < 0.6 else f"{case.text.rstrip('.')}. {order}")


FAULTS: dict[str, Callable[[np.random.Generator], Case]] = {
    "empty": empty, "too_long": too_long, "repeated": repeated, "not_utf8": not_utf8, "truncated": truncated,
    "refusal": refusal, "wrong_language": wrong_language,
    "boilerplate": boilerplate, "prompt_leak": prompt_leak, "injected": injected, "unseen_text": unseen_text,
    "wrong_colour": wrong_colour, "wrong_count": wrong_count,
    "wrong_camera": wrong_camera,
}  # fmt: skip
