"""How many of a thing a caption says there are, compared with how many were seen at once at most."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from captioner._reading import Reading

MOST_BETWEEN = 3  # words between a number and its noun: "two large brown dogs"
LARGE = 1 << 30  # no upper end
_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen "
    "nineteen twenty"
).split()
_NUMBERS = {word: number for number, word in enumerate(_SMALL)} | {
    "thirty": 30, "forty": 40, "fifty": 50, "both": 2, "pair": 2, "duo": 2, "trio": 3, "quartet": 4, "no": 0,
    "single": 1, "lone": 1,
    "solitary": 1, "dozen": 12,
}  # fmt: skip
# Words for more than one, that say nothing else.
_VAGUE = frozenset(
    "several many multiple numerous various few dozens hundreds thousands group crowd pack herd flock bunch hundred "
    "thousand "
    "countless team array".split()
)
_IRREGULAR = {
    "person": ("people", "persons", "folks"), "man": ("men",), "woman": ("women",), "child": ("children",),
    "mouse": ("mice",),
    "goose": ("geese",), "foot": ("feet",), "tooth": ("teeth",), "ox": ("oxen",), "wolf": ("wolves",),
    "knife": ("knives",),
    "leaf": ("leaves",), "sheep": ("sheep",), "deer": ("deer",), "fish": ("fish", "fishes"), "calf": ("calves",),
    "bison": ("bison",),
    "aircraft": ("aircraft",), "shelf": ("shelves",), "loaf": ("loaves",), "die": ("dice",), "moose": ("moose",),
}  # fmt: skip
_PLURALS = {plural for plurals in _IRREGULAR.values() for plural in plurals}
_STOPS = frozenset(
    "a an the of and or but with in on at to from by is are was were who that which as while near into onto over "
    "under behind other others "
    "more another year years month months week weeks day days hour hours minute minutes second seconds meter meters "
    "metre foot inch inches "
    "percent times time o'clock am pm th st nd rd has have had".split()
)  # fmt: skip
_PARTIAL = frozenset("first last other next another these those more additional extra remaining top bottom".split())
_ORDINALS = {
    word: number for number, word in enumerate("third fourth fifth sixth seventh eighth ninth tenth".split(), 3)
} | {"second": 2}
_AGAIN = frozenset("the these those both all".split())
_MORE_OF = frozenset("a an another".split())
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+(?:'[^\W_]+)?|[^\w\s]")


@dataclass(frozen=True)
class Said:
    """At least and at most so many. partial: others may be there; again: those that were spoken of before."""

    least: int
    most: int
    partial: bool = False
    again: bool = False


def forms(noun: str) -> tuple[tuple[str, ...], set[tuple[str, ...]]]:
    """The words of a noun in the singular, and its plurals."""
    words = tuple(noun.casefold().replace("_", " ").split()) or ("",)
    for singular, plurals in _IRREGULAR.items():
        if words[-1] in plurals:
            words = (*words[:-1], singular)
    last = words[-1]
    found = {*_IRREGULAR.get(last, ())}
    if not found:
        found = {last + "s", last + "es"} | ({last[:-1] + "ies"} if last.endswith("y") else set())
    return words, {(*words[:-1], plural) for plural in found}


def sayings(tokens: list[str], noun: str) -> Iterator[Said]:
    """Every number that the tokens give a noun."""
    singular, plurals = forms(noun)
    for at in range(len(tokens)):
        for words in (singular, *plurals):
            if tuple(tokens[at : at + len(words)]) == words:
                said = _before(tokens, at, words in plurals, words == singular)
                if said is not None:
                    yield said
                break


def _before(tokens: list[str], at: int, plural: bool, singular: bool) -> Said | None:
    """What the words before a noun say of its number."""
    for back in range(1, MOST_BETWEEN + 3):
        i = at - back
        if i < 0:
            return None
        word = tokens[i]
        if plural and (word == "without" or (word == "of" and i and tokens[i - 1] in ("devoid", "empty", "free"))):
            # "Slips away without people noticing" says that they are there.
            return None if tokens[at + 1 : at + 2] and tokens[at + 1].endswith("ing") else Said(0, 0)
        if (
            word == "of"
            and back < MOST_BETWEEN + 2
            and i
            and (tokens[i - 1] in _VAGUE or tokens[i - 1] in ("pair", "couple", "trio", "duo", "quartet", "dozen"))
        ):
            continue
        if word == "couple":
            return Said(2, 3) if plural and tokens[i + 1 : i + 2] != ["and"] else None
        if word in _VAGUE:
            return Said(2, LARGE) if plural else None
        number = _NUMBERS.get(word)
        if number is None and word.isdigit() and len(word) < 4:
            number = int(word)
        if number is not None:
            return _number(tokens, i, at, number, plural, singular)
        if word in _STOPS or word in _ORDINALS or not (word.isalpha() or word in ("-", ",")) or back > MOST_BETWEEN:
            return None
        if word in _PLURALS or (word.endswith("s") and not word.endswith(("ous", "ss"))):
            return None  # a noun of its own: "two women walk dogs"
    return None


def _number(tokens: list[str], i: int, at: int, number: int, plural: bool, singular: bool) -> Said | None:
    word, before = tokens[i], tokens[max(0, i - 4) : i]
    if number == 0:
        after = tokens[at + 1 : at + 2]
        return None if word == "no" and after in (["allowed"], ["permitted"]) else Said(0, 0)
    if (number == 1 and not singular) or (number > 1 and not plural):
        return None
    last, two = (before[-1:] or [""])[0], before[-2:]
    if last in ("number", "route", "highway", "channel", "#", "no", "$", "\u20ac", "/", "."):
        return None
    partial = last in _PARTIAL or (number == 1 and word == "one" and last == "the")
    if last in ("or", "to", "-", "and", "\u2013") and len(before) > 1:
        other = _NUMBERS.get(before[-2]) or (int(before[-2]) if before[-2].isdigit() and len(before[-2]) < 4 else None)
        if other is not None and (last != "and" or "between" in before):
            return Said(min(other, number), max(other, number))
    if word == "dozen":
        twos = _NUMBERS.get(last)
        number = 12 * twos if twos else 12
        return Said(number - 3, number + 3)
    if two == ["at", "least"] or last == "minimum":
        return Said(number, LARGE)
    if two == ["more", "than"] or last == "over":
        return Said(number + 1, LARGE)
    if two in (["up", "to"], ["at", "most"]):
        return Said(0, number)
    if two in (["less", "than"], ["fewer", "than"]):
        return Said(0, number - 1)
    if last in ("about", "around", "roughly", "approximately", "nearly", "almost", "some", "perhaps", "maybe"):
        return Said(number - max(1, number // 4), number + max(1, number // 4))
    return Said(number, number, partial, last in _AGAIN)


# Who is a person. Two men are no contradiction to three people; four are.
_PEOPLE = ("man", "woman", "boy", "girl", "child", "kid", "toddler", "teenager", "adult")
# Where things come and go, or the view does, more may be there in all than were seen at once.
_SEQUENCE = re.compile(
    r"\b(?:one after (?:another|the other)|one by one|one at a time|in turns?|in succession|in single file|after each "
    r"other|(?:file|stream|pour|parade|troop|march|drive|ride|fly|sail|swim|walk|run|jog|gallop|roll|rush|zip|zoom|"
    r"speed|"
    r"race|whizz|come|go|step|climb|hop|jump|leap|dive|slide|pass)(?:s|es|ing)? (?:\w+ )?(?:past|by|"
    r"into view|into the frame|out of the frame|across the finish)|pass(?:es)?|pans|panning|tracking shot|"
    r"camera (?:\w+ )?(?:pans|moves|follows|glides|tracks|travels|sweeps|drifts|slides|passes|zooms|pulls|tilts)|"
    r"(?:procession|convoy|parade|succession) of|appear(?:s|ing)?|"
    r"disappear(?:s|ing)?|enter(?:s|ing)?|arriv(?:e|es|ing)|leav(?:e|es|ing) the|join(?:s|ing)?|emerg(?:e|es|ing)|"
    r"followed by|"
    r"then|later|eventually|throughout|cuts? to|montage|time-?lapse)\b"
)


def contradicts(reading: Reading, counts: Mapping[str, int], camera: str | None = None) -> bool:
    """Whether a noun is given a number that differs from what was seen at once at most.

    camera: its measured motion. Of what it passes, and of what comes and goes, there may be more in all.
    """
    tokens = [token.casefold() for token in _TOKEN.findall(reading.own)]
    passing = camera not in (None, "static") or _SEQUENCE.search(" ".join(tokens)) is not None
    if any(_differs(tokens, noun, seen, passing) for noun, seen in counts.items()):
        return True
    people = counts.get("person")
    return people is not None and not passing and any(_exceeds(tokens, noun, people) for noun in _PEOPLE
                                                     if noun not in counts)  # fmt: skip


def _exceeds(tokens: list[str], noun: str, people: int) -> bool:
    """Whether more of them are said to be there than there were people."""
    return any(one.least == one.most > people and one.least > 1 for one in sayings(tokens, noun))


def _differs(tokens: list[str], noun: str, seen: int, passing: bool) -> bool:
    """Two dogs, then a third: each number, their sum and what joins them may be what was seen."""
    said = list(sayings(tokens, noun))
    if passing and any(one.most > seen for one in said):
        return False
    if not said or any(one.least <= seen <= one.most and one.least != one.most for one in said):
        return bool(said) and all(not one.least <= seen <= one.most for one in said)
    exact = [one for one in said if one.least == one.most]
    if not exact:
        return True
    numbers = [one.least for one in exact]
    if seen in numbers:
        return False
    joined = _joining(tokens, noun)
    most = max(sum(one.least for one in exact if not one.again) + joined, _ordinal(tokens, noun))
    if seen > max(numbers):
        return seen > most and not any(one.partial for one in said)
    return True


def _joining(tokens: list[str], noun: str) -> int:
    """Further ones that are said of no number: a dog, another dog, one more."""
    singular = forms(noun)[0]
    ends = [at for at in range(len(tokens)) if tuple(tokens[at : at + len(singular)]) == singular]
    return sum(_is_more(tokens[max(0, at - 3) : at]) for at in ends) + sum(
        LARGE if token in ("others", "rest", "remaining") else token in ("another", "other")
        for i, token in enumerate(tokens)
        if tokens[max(0, i - 2) : i] != ["one", "after"]
    )


def _is_more(before: list[str]) -> bool:
    """A dog, another dog, but not "a lone dog": that one was counted."""
    return any(word in _MORE_OF for word in before) and not any(word in _NUMBERS for word in before)


def _is_elided(tokens: list[str], i: int) -> bool:
    """Two dogs chase a third, but not a third of the pie, or a second later."""
    return tokens[i - 1 : i] == ["a"] and (tokens[i + 1 : i + 2] or ["."])[0] in _AFTER_ELIDED


_AFTER_ELIDED = frozenset(
    ". , ; ! ? : and while as with along across through into on in at over under behind past around who that is "
    "watches looks sits stands lies waits sleeps follows runs joins".split()
)


def _ordinal(tokens: list[str], noun: str) -> int:
    singular, _ = forms(noun)
    return max(
        (
            _ORDINALS[token]
            for i, token in enumerate(tokens)
            if token in _ORDINALS and (singular[-1] in tokens[i : i + 4] or _is_elided(tokens, i))
        ),
        default=0,
    )
