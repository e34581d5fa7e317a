"""From questions to the record of a clip: ask every kind, join the answers by what they answer, check them, ask again.

A captioner only answers. What a clip is asked, which answer is accepted, and what is written down is decided here, the
same for every captioner.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from captioner import answers, checks
from captioner.evidence import evidence_of
from captioner.prompting import filled
from curate.captioning import Alive, Answer, Ask, Asking, Captioner, Pictures, Prompt
from curate.stage import Left, fault_columns

Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A clip to describe: its id, the columns that were measured of it, and its frames, if the captioner reads any."""

    clip_id: str
    facts: Mapping[str, Any]
    pictures: Pictures | None = None


@dataclass
class _Part:
    """One window of one kind of caption of one clip, on its way to an accepted answer."""

    ask: Ask
    rounds: int = 0
    answers: list[Answer] = field(default_factory=list)
    text: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    refused: list[Row] = field(default_factory=list)


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
        later: dict[str, _Part] = {}
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
                yield _row(captioner, clip, parts.pop(clip), frames.get(clip, ""))
        if asked:
            raise RuntimeError(f"{captioner.name} left {len(asked)} questions unanswered")
        asked = later


def _parts(captioner: Captioner, asking: Asking, subject: Subject) -> dict[str, list[_Part]]:
    return {
        kind: [
            _Part(_ask(captioner.prompts[kind], asking, subject, window))
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


def _take(part: _Part, answer: Answer, asking: Asking) -> bool:
    """Note an answer; whether another prompt is to be tried."""
    part.answers.append(answer)
    part.rounds += 1
    if answer.lost or answer.fault is not None:
        return False
    prompt = part.ask.prompt
    text, fields = None, {}
    try:
        text, fields = answers.parsed(prompt, answer.text, part.ask.ref)
    except answers.OtherClip:
        part.codes = ("other_clip",)
    except ValueError:
        part.codes = ("truncated" if answer.truncated else "wrong_schema",)
    else:
        part.codes = checks.check(
            text, prompt.kind, evidence_of(part.ask.facts), language=prompt.asked_language, prompt=part.ask.text,
            truncated=answer.truncated,
        )  # fmt: skip
    part.text, part.fields = text, fields
    # An answer of another form may be the server's slip; with the same question a caption would come out the same.
    again = prompt.again or (prompt if text is None else None)
    if checks.actions(part.codes)[0] == "accept" or part.rounds > asking.again or again is None:
        return False
    part.refused.append(
        {"kind": prompt.kind, "prompt": prompt.name, "codes": list(part.codes), "text": answer.text[:4000]}
    )
    part.ask = replace(part.ask, prompt=again, text=filled(again, part.ask.facts, asking.facts, part.ask.window_s))
    return True


def _row(captioner: Captioner, clip_id: str, kinds: Mapping[str, list[_Part]], frames: str) -> Row | Left:
    """The record of a clip."""
    parts = [part for of_kind in kinds.values() for part in of_kind]
    given = [answer for part in parts for answer in part.answers]
    lost = next((answer.lost for answer in given if answer.lost), None)
    if lost is not None:
        return Left(clip_id, lost)
    row: Row = {"clip_id": clip_id, "windows": [], "refused": [entry for part in parts for entry in part.refused]}
    for kind, of_kind in kinds.items():
        row |= _of_kind(kind, of_kind)
        row["windows"] += [
            {"kind": kind, "start_s": part.ask.window_s[0], "end_s": part.ask.window_s[1], "text": part.text or ""}
            for part in of_kind
            if part.ask.window_s is not None
        ]
    faults = [part.answers[-1].fault for part in parts if part.answers[-1].fault]
    row |= {
        "model": _said({kind: captioner.about(kind)[0] for kind in kinds}),
        "revision": _said({kind: captioner.about(kind)[1] for kind in kinds}),
        "frames": frames,
        "language": _said({kind: of_kind[0].ask.prompt.language for kind, of_kind in kinds.items()}),
        "prompts": json.dumps({kind: _prompt(of_kind[0].ask.prompt) for kind, of_kind in kinds.items()}),
        "decoding": json.dumps(dict(getattr(captioner, "decoding", {})), sort_keys=True),
        "tokens_in": sum(answer.tokens_in for answer in given),
        "tokens_out": sum(answer.tokens_out for answer in given),
        "requests": sum(answer.requests for answer in given),
        "model_s": sum(answer.seconds for answer in given),
        "waited_s": sum(answer.waited_s for answer in given),
    }
    if faults and all(row[kind] is None for kind in kinds):
        return row | fault_columns(*faults[0])
    return row


def _of_kind(kind: str, parts: Sequence[_Part]) -> Row:
    """Text, fields and status of one kind; texts of windows are joined in their order, each with its seconds."""
    fault = next((part.answers[-1].fault for part in parts if part.answers[-1].fault), None)
    texts = [part.text for part in parts]
    text: str | None = None
    if fault is None and all(text is not None for text in texts):
        text = " ".join(
            part.text or "" if part.ask.window_s is None else _timed(part.ask.window_s, part.text or "")
            for part in parts
        )
    codes = tuple(dict.fromkeys(code for part in parts for code in part.codes))
    status = fault[0] if fault else "ok"
    if fault is None and checks.action(codes) != "accept":
        status = codes[0]
    fields = [dict(part.fields) for part in parts]
    return {
        kind: text,
        f"{kind}_status": status,
        f"{kind}_fields": json.dumps(fields[0] if len(fields) == 1 else fields, ensure_ascii=False, sort_keys=True),
        f"{kind}_asked": sum(part.rounds for part in parts),
    }


def _timed(window_s: tuple[float, float], text: str) -> str:
    return f"From {window_s[0]:.1f} to {window_s[1]:.1f} s: {text}"


def _prompt(prompt: Prompt) -> Row:
    return {"name": prompt.name, "version": prompt.version, "sha256": prompt.sha256}


def _said(by_kind: Mapping[str, str]) -> str:
    """One word where all kinds agree, JSON otherwise."""
    said = set(by_kind.values())
    return said.pop() if len(said) == 1 else json.dumps(dict(by_kind), sort_keys=True)
