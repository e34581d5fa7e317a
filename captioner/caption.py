"""From questions to the record of a clip: ask every kind, join the answers by what they answer, check them, ask again.

A captioner only answers. What a clip is asked, and which answer is accepted, is decided here, the same for every
captioner; what is written down is in captioner/_record.py. Only the question and its answer decide: what was measured
of the clip is no part of a caption's key, so what contradicts it is found later, by the stage `check`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from captioner import answers, checks
from captioner._record import Given, Part, record
from captioner.prompting import filled
from curate.captioning import Alive, Answer, Ask, Asking, Captioner, Pictures, Prompt
from curate.stage import Left

Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A clip to describe: its id, the columns that were measured of it, and its frames, if the captioner reads any."""

    clip_id: str
    facts: Mapping[str, Any]
    pictures: Pictures | None = None


def describe(captioner: Captioner, asking: Asking, subjects: Sequence[Subject], alive: Alive) -> Iterator[Row | Left]:
    """The caption rows of these clips, as each clip is complete.

    Raises:
        RuntimeError: the captioner answered something that it was not asked, twice, or not at all.
    """
    parts = {subject.clip_id: _parts(captioner, asking, subject) for subject in subjects}
    frames = {subject.clip_id: subject.pictures.digest for subject in subjects if subject.pictures is not None}
    missing = {clip: sum(len(kinds) for kinds in of_clip.values()) for clip, of_clip in parts.items()}
    asked = {part.ask.ref: part for of_clip in parts.values() for kind in of_clip.values() for part in kind}
    while asked:
        later: dict[str, Part] = {}
        for answer in captioner.describe([part.ask for part in asked.values()], alive):
            part = asked.pop(answer.ref, None)
            if part is None:
                raise RuntimeError(f"{captioner.name} answered a question that is not open ({answer.ref[:8]})")
            if _take(part, answer, asking):
                later[part.ask.ref] = part
                continue
            clip = part.ask.clip_id
            missing[clip] -= 1
            if not missing[clip]:
                yield record(captioner, clip, parts.pop(clip), frames.get(clip, ""))
        if asked:
            raise RuntimeError(f"{captioner.name} left {len(asked)} questions unanswered")
        asked = later


def _parts(captioner: Captioner, asking: Asking, subject: Subject) -> dict[str, list[Part]]:
    return {
        kind: [
            Part(_ask(captioner.prompts[kind], asking, subject, window))
            for window in (windows(subject.facts["duration_s"], asking.window_s) if kind == "dense" else (None,))
        ]
        for kind in asking.kinds
    }


def windows(duration_s: float, window_s: float | None) -> tuple[tuple[float, float] | None, ...]:
    """Equal parts of a clip that are no longer than `window_s`; one None, the whole clip, where it is no longer."""
    count = 1 if window_s is None else max(1, math.ceil(duration_s / window_s))
    if count == 1:
        return (None,)
    return tuple((duration_s * i / count, duration_s * (i + 1) / count) for i in range(count))


def _ask(prompt: Prompt, asking: Asking, subject: Subject, window: tuple[float, float] | None) -> Ask:
    pictures = subject.pictures
    if pictures is not None:
        start_s, end_s = window or (0.0, float("inf"))
        pictures = pictures.between(start_s, end_s, asking.max_frames)
    text = filled(prompt, subject.facts, asking.facts, window)
    return Ask(subject.clip_id, prompt, subject.facts, text, pictures, window)


def _take(part: Part, answer: Answer, asking: Asking) -> bool:
    """Note an answer; whether another prompt is to be tried."""
    given = _given(part.ask, answer)
    part.given.append(given)
    if answer.lost or answer.fault is not None:
        return False
    # An answer of another form may be the server's slip; with the same question a caption would come out the same.
    again = given.prompt.again or (given.prompt if given.text is None else None)
    if checks.actions(given.codes)[0] == "accept" or len(part.given) > asking.again or again is None:
        return False
    part.ask = replace(part.ask, prompt=again, text=filled(again, part.ask.facts, asking.facts, part.ask.window_s))
    return True


def _given(ask: Ask, answer: Answer) -> Given:
    """What an answer says, and what is wrong with it as far as the question tells."""
    prompt = ask.prompt
    if answer.lost or answer.fault is not None:
        return Given(prompt, answer, codes=(answer.fault[0] if answer.fault else "lost",))
    try:
        text, fields = answers.parsed(prompt, answer.text, ask.ref)
    except answers.OtherClip:
        return Given(prompt, answer, codes=("other_clip",))
    except ValueError:
        return Given(prompt, answer, codes=("truncated" if answer.truncated else "wrong_schema",))
    codes = checks.check(
        text, prompt.kind, language=prompt.asked_language, prompt=ask.text, truncated=answer.truncated
    )  # fmt: skip
    return Given(prompt, answer, text, fields, codes)
