"""How a caption says that the camera moves, compared with what was measured (names of filters/_camera_names.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from captioner._camera_terms import (
    BETWEEN,
    BREAKS,
    CAMERAS,
    LOOKED_AT,
    MOTIONS,
    NOUNS,
    OWN_WAY,
    REACH,
    STILL,
    STILL_VERBS,
    STILL_WORDS,
    SUBJECTS,
    VERBS,
    WAYS,
    WHERE,
)
from captioner._reading import Reading

UNJUDGED = (None, "shaky", "mixed")  # what a caption says of these may well be true

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[,;:()]")


def motions(reading: Reading) -> Iterator[str]:
    """What the caption asserts: names of motions, or `pan`, `tilt`, `zoom`, `roll`, `move` without a direction."""
    for sentence in reading.sentences:
        for pattern, verb in NOUNS:
            for found in pattern.finditer(sentence):
                if _negated(sentence[: found.start()]):
                    continue
                ways = {key: way for key, way in found.groupdict().items() if way}
                way = next(iter(ways.values()), "")
                if "f" in ways:
                    way = "right" if way == "left" else "left"
                yield verb if verb == STILL else MOTIONS.get((verb, WAYS.get(way, "")), verb)
        words = _WORD.findall(sentence)
        for i, word in enumerate(words):
            if word in SUBJECTS and not (i and _is_object(words, i)):
                yield from _does(words, i)


def _is_object(words: list[str], i: int) -> bool:
    """Looks at the camera; a view of; with a camera."""
    before = (
        words[i - 1]
        if words[i - 1] not in ("the", "a", "his", "her", "their", "an")
        else (words[i - 2] if i > 1 else "")
    )
    return before in LOOKED_AT and not (before in ("with", "of") and words[i - 1] == "the" and words[i] == "camera")


def _negated(before: str) -> bool:
    return re.search(r"\b(?:no|not|without|never|n't|nor)(?: \w+)?\s*$", before[-30:]) is not None


def _does(words: list[str], i: int) -> Iterator[str]:
    """What follows a camera: adverbs, a verb and its direction; "and" goes on with the next verb."""
    at, still_verb = i + 1, False
    while at < len(words):
        word = words[at]
        if word in VERBS and (words[i] in CAMERAS or VERBS[word] in ("pan", "tilt", "zoom")):
            before = words[max(i, at - 3) : at]
            if any(w in ("not", "never", "no", "without", "doesn't", "isn't", "nor") for w in before):
                if VERBS[word] == "move":
                    yield STILL
                return
            way, at = _direction(words, at)
            yield way
            verb, still_verb = way.split("_")[0], False
            while at < len(words) and words[at] in (",", "and", "then", "before", "slowly"):
                at += 1
            again = MOTIONS.get((verb, WAYS.get(words[at], ""))) if at < len(words) else None
            if again:  # pans left and then right
                yield again
            if at >= len(words) or words[at] not in VERBS:
                return
            continue
        if word in STILL_WORDS or (word == "steady" and still_verb):
            after = words[at + 1] if at + 1 < len(words) else ""
            if word == "still" and after in VERBS:
                at += 1
                continue
            if (
                words[i] in CAMERAS
                and still_verb
                and not (word == "fixed" and after == "on" and "tripod" not in words[at : at + 5])
            ):
                negated = any(w in ("not", "never", "isn't", "hardly") for w in words[i:at])
                if not negated:
                    yield STILL
            return
        still_verb = still_verb or word in STILL_VERBS or word == ":"
        if word != ":" and word not in BETWEEN and word not in STILL_VERBS and not word.endswith("ly") and word not in (
            "not", "never", "doesn't", "isn't", "does", "no", "still"):  # fmt: skip
            return
        at += 1


def _direction(words: list[str], at: int) -> tuple[str, int]:
    """The motion of the verb at this place, and where the reading goes on."""
    verb = VERBS[words[at]]
    own = OWN_WAY.get(words[at])
    for i in range(at + 1, min(len(words), at + 1 + REACH)):
        word = words[i]
        if word in BREAKS or (word == "and" and i + 1 < len(words) and words[i + 1] in VERBS):
            return own or verb, i
        if word == "from" and words[i + 1 : i + 2] and words[i + 1] in ("left", "right"):
            return MOTIONS.get((verb, "right" if words[i + 1] == "left" else "left"), verb), i + 4
        if word == "counter":
            return MOTIONS.get((verb, "ccw"), verb), i + 2
        way = WAYS.get(word)
        if way is None or (word == "in" and i + 1 < len(words) and words[i + 1] in WHERE and verb != "zoom"):
            continue
        if (
            word in ("left", "right")
            and words[i + 1 : i + 2]
            and words[i + 1] in ("hand", "side", "of")
            and words[i - 1] != "to"
        ):
            continue
        if (verb, way) in MOTIONS:
            return MOTIONS[verb, way], i + 1
    toward = {"towards", "toward", "into"} & set(words[at + 1 : at + 3])
    return own or ("zoom_in" if toward and verb == "move" else verb), min(len(words), at + 2)


_CUT = re.compile(r"\bcuts? to\b")  # what was measured is of one of the shots
_THEN = frozenset("and then before finally ; ,".split())


def _further(reading: Reading) -> Iterator[str]:
    """What else may be said of the camera later in a sentence: pans left to follow them, and then tilts up."""
    for sentence in reading.sentences:
        words = _WORD.findall(sentence)
        begins = next((i for i, word in enumerate(words) if word in CAMERAS), len(words))
        first = next((i for i in range(begins, len(words)) if words[i] in VERBS), len(words))
        for i in range(first + 1, len(words)):
            before = [word for word in words[max(0, i - 3) : i] if not word.endswith("ly")]
            if words[i] in VERBS and before and before[-1] in _THEN:
                way, _ = _direction(words, i)
                if "_" in way:
                    yield way
            elif words[i] in ("still", "static", "steady") and "then" in words[max(0, i - 4) : i]:
                yield STILL


def contradicts(reading: Reading, camera: str | None) -> bool:
    """Whether motions are asserted and none of them is what was measured."""
    if camera in UNJUDGED:
        return False
    said = list(motions(reading))
    if any(_fits(motion, camera) for motion in _further(reading)) or _CUT.search(reading.own.casefold()):
        return False
    said = [motion for motion in said if "_" in motion or motion == STILL] or said
    return bool(said) and not any(_fits(motion, camera) for motion in said)


def _fits(said: str, camera: str) -> bool:
    if STILL in (said, camera):
        return said == camera
    if said == "move" or said == camera:
        return True
    return "_" not in said and (camera.startswith(said) or said == "pan")
