"""Answers to structured prompts: the schema that they must fit, and what they say.

A server that decodes under a schema is given it; from one that does not, and from a model, the answer is checked and
asked for again.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from captioner.prompting import LISTS
from curate.captioning import Prompt

REF = "ref"  # the digits that tie an answer to its question; a server under a schema cannot but repeat them
_REF_DIGITS = 8
_LONGEST = 1 << 16  # characters of an answer that are looked at: what is longer is a model that did not stop


class OtherClip(Exception):
    """An answer carries the ref of another question than the one that it was given for."""


def schema_of(prompt: Prompt, ref: str | None = None) -> dict[str, Any]:
    """JSON schema of an answer. With `ref` the answer must repeat its first digits."""
    kinds: dict[str, Any] = {name: {"type": "string"} for name in ("caption", *prompt.fields)}
    for name in LISTS:
        if name in kinds:
            kinds[name] = {"type": "array", "items": {"type": "string"}}
    if ref is not None:
        kinds = {REF: {"const": ref[:_REF_DIGITS]}, **kinds}
    return {"type": "object", "properties": kinds, "required": list(kinds), "additionalProperties": False}


def instruction(prompt: Prompt) -> str:
    """What is said to a model about the form of its answer; empty for plain text."""
    if not prompt.fields:
        return ""
    names = ", ".join(f'"{name}"' for name in ("caption", *prompt.fields))
    lists = [f'"{name}"' for name in LISTS if name in prompt.fields]
    said = f'Answer with one JSON object with the keys {names}. "caption" holds the whole description; '
    said += "the others hold what their names say, as texts"
    return f"{said}{f' ({lists[0]} as a list of texts)' if lists else ''}, empty where there is nothing to say."


def parsed(prompt: Prompt, text: str, ref: str) -> tuple[str, dict[str, Any]]:
    """The caption and the fields of an answer.

    Raises:
        OtherClip: it is the answer to another question. ValueError: it does not fit the schema.
    """
    text = text.strip()
    if not prompt.fields:
        if text.startswith(("{", "[{")):
            raise ValueError("a caption in plain text was asked for, not JSON")
        return text, {}
    said = _object(text[:_LONGEST])
    given = said.pop(REF, None)
    if given is None and prompt.tied:
        raise ValueError("the answer does not say which question it answers")
    if given is not None and given != ref[:_REF_DIGITS]:
        raise OtherClip(f"the answer carries {given!r}, the question was {ref[:_REF_DIGITS]!r}")
    error = next(iter(_validator(prompt).iter_errors(said)), None)
    if error is not None:
        raise ValueError(error.message[:200])
    caption = said.pop("caption").strip()
    return caption, said


@cache
def _validator(prompt: Prompt) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(schema_of(prompt))


def _object(text: str) -> dict[str, Any]:
    """The first JSON object in a text; models like to wrap it into a code block and a friendly sentence."""
    start = text.find("{")
    if start < 0:
        raise ValueError("the answer holds no JSON object")
    try:
        said, _ = json.JSONDecoder().raw_decode(text[start:])
        return json.loads(storable(json.dumps(said, ensure_ascii=False)))  # what was escaped is text only now
    except RecursionError as error:
        raise ValueError("the answer is nested without end") from error


def storable(text: str) -> str:
    """The text with U+FFFD for every half of a character, which no file can hold; a check sees it (`not_utf8`)."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
