"""Colours that a caption asserts, compared with the colours of the pixels (the eleven words of filters/_colours.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from captioner._reading import Reading

LEAST_SHARE = 0.0005  # share of the pixels below which a colour is not there: 115 pixels of 640 x 360

# A cat lit by a lamp is black and measured gray, a sea is green and measured blue, a sunset pink and measured orange.
NEAR: dict[str, tuple[str, ...]] = {
    "black": ("black", "gray"), "gray": ("gray", "white", "black"), "white": ("white", "gray"),
    "red": ("red", "orange", "pink"), "orange": ("orange", "red", "yellow"),
    "brown": ("brown", "orange", "red"), "yellow": ("yellow", "orange"), "green": ("green", "blue", "yellow"),
    "blue": ("blue", "purple"), "purple": ("purple", "pink", "blue"), "pink": ("pink", "red", "orange", "purple"),
}  # fmt: skip
# What a word may be measured as: people draw the borders between colours elsewhere, and light shifts them.
MEASURED: dict[str, tuple[str, ...]] = {
    **NEAR, "grey": NEAR["gray"], "crimson": ("red", "pink"), "scarlet": ("red", "orange"),
    "maroon": ("red", "brown", "purple"),
    "burgundy": ("red", "brown", "purple"), "vermilion": ("red", "orange"), "navy": ("blue", "black"),
    "azure": ("blue", "green"), "teal": ("green", "blue"), "turquoise": ("green", "blue"), "cyan": ("blue", "green"),
    "aqua": ("blue", "green"), "aquamarine": ("blue", "green"), "cobalt": ("blue",), "indigo": ("blue", "purple"),
    "magenta": ("pink", "purple"), "fuchsia": ("pink", "purple"), "golden": ("yellow", "orange", "brown"),
    "gold": ("yellow", "orange", "brown"), "silver": ("gray", "white"), "silvery": ("gray", "white"),
    "beige": ("brown", "orange", "gray", "white", "yellow"), "tan": ("brown", "orange", "gray", "yellow"),
    "khaki": ("brown", "green", "gray", "yellow", "orange"), "lavender": ("purple", "blue", "pink", "gray"),
    "violet": ("purple", "blue", "pink"), "lilac": ("purple", "pink", "blue"), "mauve": ("purple", "pink", "gray"),
}  # fmt: skip
# Nouns too: a colour only in "rust-coloured", "an emerald dress".
COLOURED: dict[str, tuple[str, ...]] = {
    "coral": ("pink", "orange", "red"), "salmon": ("pink", "orange", "red"), "peach": ("orange", "pink", "yellow"),
    "olive": ("green", "brown", "yellow"), "lime": ("green", "yellow"), "ruby": ("red", "pink"), "emerald": ("green",),
    "copper": ("orange", "brown", "red"), "rust": ("orange", "brown", "red"), "charcoal": ("gray", "black"),
    "amber": ("orange", "yellow", "brown"), "mustard": ("yellow", "orange", "brown"), "ivory": ("white", "yellow",
    "orange"),
    "cream": ("white", "yellow", "orange", "brown"), "rose": ("pink", "red"), "sapphire": ("blue",),
}  # fmt: skip
_SUFFIX = ("colored", "coloured", "hued", "toned", "tinted", "tinged")

LEAST_TITLE = 6  # words from which capitals everywhere mean a title, and not a name
_MONOCHROME = re.compile(r"\bblack[ -](?:and|&|n)[ -]white\b", re.I)
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[^\w\s]")
_SKIN = (
    "man men woman women people person boy boys girl girls guy guys male female skin skinned couple family americans"
).split()
_HAIR = (
    "hair haired hairs beard bearded mustache moustache eyed eyes eye brows eyebrows ponytail braids bangs curls "
    "locks dreadlocks afro wig "
    "furred skinned"
).split()
# Fixed names, by colour: the noun that follows makes it no colour of the picture, or not this one.
_NAMES = {
    "white": "house wine noise collar lie elephant paper chocolate meat shark tea pepper balance water supremacy hat "
        "hall pages blood light",
    "black": "friday market magic belt sea box hole tea coffee pepper bear ice lives sabbath metal death widow tie "
        "comedy bean beans hat forest",
    "red": "wine carpet cross panda fox tape alert onion cabbage meat hot sea army bull sox square planet flag flags "
        "eye snapper bean beans tea "
    "bell card wood deer kite devils wings pepper",
    "green": "tea screen card energy party bay room house beret thumb belt bean beans pepper onion onions peace "
        "power beans",
    "blue": "collar moon ray whale jay jays cheese ribbon note print prints tooth hour bird tick crab",
    "orange": "juice county peel slice slices tree trees grove blossom soda fruit segments wedge zest marmalade fanta",
    "brown": "rice bread sugar bear bears university trout dwarf butter",
    "yellow": "pages river fever card submarine cab cabs",
    "pink": "floyd slip salt noise panther lady",
    "purple": "heart rain prose haze",
    "gray": "area areas matter wolf whale squirrel seal heron",
    "grey": "area areas matter wolf whale squirrel seal heron",
    "gold": "medal medals medalist coast rush standard mine fish card",
    "golden": "retriever retrievers gate hour age eagle eagles globe state rule goose ratio doodle girls boy boot "
        "ticket jackal monkey years opportunity",
    "silver": "screen medal medalist lining spoon birch surfer",
    "navy": "seal seals officer officers ship ships base sailors vessel pilot personnel jet uniform",
    "tan": "line lines", "crimson": "tide", "scarlet": "letter fever witch", "teal": "duck", "indigo": "bunting",
    "violet": "flower flowers",
    "lavender": "field fields plant oil", "rose": "garden gardens",
}  # fmt: skip
# A white-headed eagle, a colour-blind man: a part of a name.
_PARTS = frozenset("ish blind headed capped necked breasted tailed bellied winged crested throated".split())
_NO_COLOUR = {(colour, noun) for colour, nouns in _NAMES.items() for noun in nouns.split()}
_NEGATIONS = frozenset(
    "no not without never neither nor isn't aren't wasn't doesn't don't lacks lacking lack absent hardly "
    "cannot nothing".split()
)
_INSTEAD = ("rather than", "instead of", "devoid of", "free of", "other than", "except", "anything but", "absence of")
_ENDS = frozenset(". ; : ! ? , but and while with as".split())
_FRUIT_BEFORE = frozenset("an the one half fresh sliced peeled ripe juicy whole".split())
_FRUIT_AFTER = frozenset("with on in from into is and while to of by being for at near beside next using".split())


def asserted(reading: Reading) -> Iterator[tuple[str, ...]]:
    """For each colour that the caption's own words assert, what it may be measured as."""
    raw = _TOKEN.findall(_MONOCHROME.sub(" ", reading.own))
    tokens = [token.casefold() for token in raw]
    letters = [token for token in raw if token[0].isalpha()]
    titled = len(letters) >= LEAST_TITLE and sum(token[0].isupper() for token in letters) > 0.6 * len(letters)
    for i, token in enumerate(tokens):
        sets = MEASURED.get(token)
        if token in COLOURED:
            sets = COLOURED[token] if _word(tokens, i + 1) in _SUFFIX else None
        if sets and not _is_name(raw, tokens, i, titled) and not _no_colour(tokens, i) and not _is_denied(tokens, i):
            yield sets


def _word(tokens: list[str], at: int) -> str:
    """The token there, or the one behind a hyphen."""
    if 0 <= at < len(tokens) and tokens[at] == "-":
        at += 1
    return tokens[at] if 0 <= at < len(tokens) else ""


def _is_name(raw: list[str], tokens: list[str], i: int, titled: bool) -> bool:
    """Mr. Brown, the Red Cross: a capital within a sentence, or two at its start. Titles Have Capitals Everywhere."""
    if i > 1 and tokens[i - 1] == "." and tokens[i - 2] in ("mr", "mrs", "ms", "dr", "prof", "st"):
        return True
    if titled or not raw[i][0].isupper() or raw[i].isupper():
        return False
    if i and tokens[i - 1] not in ".!?:;\n-(*":
        return True
    return i + 1 < len(raw) and raw[i + 1][0].isupper() and tokens[i + 1] not in MEASURED


def _no_colour(tokens: list[str], i: int) -> bool:
    token, after = tokens[i], _word(tokens, i + 1)
    if (
        (token, after) in _NO_COLOUR
        or after in _HAIR
        or _word(tokens, i + 2) in ("hair", "beard", "haired", "mustache", "moustache", "eyes")
    ):
        return True
    if token in ("black", "white", "brown") and after in _SKIN:
        return True
    if after in _PARTS:
        return True
    if token in ("gold", "silver") and (i + 1 == len(tokens) or (after in _FRUIT_AFTER or after in ".,;")):
        return bool(i) and tokens[i - 1] in ("for", "of", "in", "some", "the")  # the metal
    return (
        token == "orange"
        and bool(i)
        and tokens[i - 1] in _FRUIT_BEFORE
        and (i + 1 == len(tokens) or after in _FRUIT_AFTER or not after.isalnum())
    )


def _is_denied(tokens: list[str], i: int) -> bool:
    """No red; without any red; neither red nor blue; rather than red."""
    before: list[str] = []
    for token in reversed(tokens[max(0, i - 6) : i]):
        if token in ".;:!?" or (token in _ENDS and token not in (",", "and")):
            break
        before.insert(0, token)
    near = before[-4:]
    if any(token in _NEGATIONS for token in near) or "neither" in tokens[max(0, i - 12) : i]:
        return not ("not" in near and "only" in near)
    said = " ".join(before)
    return any(phrase in said for phrase in _INSTEAD)


def contradicts(reading: Reading, shares: Mapping[str, float]) -> bool:
    """Whether a colour is asserted of which no word that it may be measured as has pixels."""
    return any(all(shares.get(name, 0.0) < LEAST_SHARE for name in names) for names in asserted(reading))
