"""The record of a clip's captions: of what was answered what is kept, joined window by window, and what it took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from captioner import checks
from curate.captioning import Answer, Ask, Captioner, Prompt
from curate.stage import Left, fault_columns

Row = dict[str, Any]
_LONGEST_REFUSED = 4000  # characters of an answer that was not kept


@dataclass(frozen=True)
class Given:
    """An answer as it was read: its caption (None where it holds none), and the codes of what is wrong with it."""

    prompt: Prompt
    answer: Answer
    text: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    codes: tuple[str, ...] = ()


@dataclass
class Part:
    """One window of one kind of caption of one clip, with what was answered so far."""

    ask: Ask
    given: list[Given] = field(default_factory=list)

    @property
    def kept(self) -> Given:
        """The answer that is used: the one of which the mildest becomes in the end; of equals one with a text."""
        return min(self.given, key=lambda given: (checks.ORDER.index(checks.action(given.codes)), given.text is None))

    @property
    def lost(self) -> str:
        """Why there is no answer yet; empty where there is one, or an earlier one will do."""
        return "" if checks.action(self.kept.codes) == "accept" else self.given[-1].answer.lost


def record(captioner: Captioner, clip_id: str, kinds: Mapping[str, list[Part]], frames: str) -> Row | Left:
    """The row of a clip, or that it waits for the next run, since somebody could not be reached."""
    parts = [part for of_kind in kinds.values() for part in of_kind]
    lost = next((part.lost for part in parts if part.lost), None)
    if lost is not None:
        return Left(clip_id, lost)
    row: Row = {"clip_id": clip_id, "windows": [], "refused": [entry for part in parts for entry in _refused(part)]}
    for kind, of_kind in kinds.items():
        row |= _of_kind(kind, of_kind) | _took(of_kind, f"{kind}_")
        row["windows"] += [
            {
                "kind": kind, "start_s": part.ask.window_s[0], "end_s": part.ask.window_s[1],
                "text": part.kept.text or "", "truncated": part.kept.answer.truncated,
            }
            for part in of_kind
            if part.ask.window_s is not None
        ]  # fmt: skip
    prompts = {kind: list(dict.fromkeys(part.kept.prompt for part in of_kind)) for kind, of_kind in kinds.items()}
    row |= {
        "model": _said({kind: captioner.about(kind)[0] for kind in kinds}),
        "revision": _said({kind: captioner.about(kind)[1] for kind in kinds}),
        "frames": frames,
        "language": _said({kind: _joined(prompt.language for prompt in of_kind) for kind, of_kind in prompts.items()}),
        "prompts": json.dumps({kind: [_prompt(prompt) for prompt in of_kind] for kind, of_kind in prompts.items()}),
        "decoding": json.dumps(dict(getattr(captioner, "decoding", {})), sort_keys=True),
        "waited_s": sum(given.answer.waited_s for part in parts for given in part.given),
        **_took(parts),
    }
    fault = next((part.kept.answer.fault for part in parts if part.kept.answer.fault), None)
    if fault is not None and all(row[kind] is None for kind in kinds):
        return row | fault_columns(*fault)
    return row


def _of_kind(kind: str, parts: Sequence[Part]) -> Row:
    """Text, fields and status of one kind; texts of windows are joined in their order, each with its seconds."""
    texts = [part.kept.text for part in parts]
    text: str | None = None
    if all(text is not None for text in texts):
        text = " ".join(_timed(part.ask.window_s, part.kept.text or "") for part in parts)
    found = {code for part in parts for code in part.kept.codes}
    codes = [*sorted(found - checks.CODES.keys()), *(code for code in checks.CODES if code in found)]
    worst = max(codes, key=lambda code: checks.ORDER.index(checks.action([code])), default="ok")
    fields = [dict(part.kept.fields) for part in parts]
    return {
        kind: text,
        f"{kind}_status": "ok" if checks.action(codes) == "accept" else worst,
        f"{kind}_truncated": any(part.kept.answer.truncated for part in parts),
        f"{kind}_fields": json.dumps(fields[0] if len(fields) == 1 else fields, ensure_ascii=False, sort_keys=True),
        f"{kind}_asked": sum(len(part.given) for part in parts),
    }


def _refused(part: Part) -> list[Row]:
    """The answers that are not used, in their order."""
    return [
        {
            "kind": given.prompt.kind, "prompt": given.prompt.name, "codes": list(given.codes),
            "text": given.answer.text[:_LONGEST_REFUSED],
        }
        for given in part.given
        if given is not part.kept and not given.answer.lost and given.answer.fault is None
    ]  # fmt: skip


def _took(parts: Sequence[Part], prefix: str = "") -> Row:
    """Tokens, requests and seconds of all answers, those that are not used included."""
    given = [given.answer for part in parts for given in part.given]
    return {
        f"{prefix}tokens_in": sum(answer.tokens_in for answer in given),
        f"{prefix}tokens_out": sum(answer.tokens_out for answer in given),
        f"{prefix}requests": sum(answer.requests for answer in given),
        f"{prefix}model_s": sum(answer.seconds for answer in given),
    }


def _timed(window_s: tuple[float, float] | None, text: str) -> str:
    return text if window_s is None else f"From {window_s[0]:.1f} to {window_s[1]:.1f} s: {text}"


def _prompt(prompt: Prompt) -> Row:
    return {"name": prompt.name, "version": prompt.version, "sha256": prompt.sha256}


def _joined(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _said(by_kind: Mapping[str, str]) -> str:
    """One word where all kinds agree, JSON otherwise."""
    said = set(by_kind.values())
    return said.pop() if len(said) == 1 else json.dumps(dict(by_kind), sort_keys=True)
