"""The language of a caption: by its script, and where that does not tell, by py3langid (naive Bayes over n-grams).

Its model comes in the wheel and knows 97 languages; related ones (Bulgarian for Russian) it may take for each other.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# Below this share of its letters in the language's own scripts a text is in another language. Names in another
# script are common in captions, a third of a caption of them is not.
LEAST_SCRIPT = 0.7
ENOUGH_LETTERS = 8
# In English captions of 3 words and more the lowest probability of English was 0.03 (names of people and dishes); in
# captions in other languages the highest was 0.011.
LEAST_PROBABILITY = 0.015
LEAST_WORDS = 4
# The model must say what it is instead, one of a few related languages; odds spread over many are names and numbers.
SURE, CANDIDATES = 0.5, 3

_RANGES = {
    "latin": "A-Za-z\u00c0-\u024f\u1e00-\u1eff",
    "cyrillic": "\u0400-\u052f",
    "greek": "\u0370-\u03ff\u1f00-\u1fff",
    "arabic": "\u0600-\u06ff\u0750-\u077f",
    "hebrew": "\u0590-\u05ff",
    "devanagari": "\u0900-\u097f",
    "bengali": "\u0980-\u09ff",
    "tamil": "\u0b80-\u0bff",
    "telugu": "\u0c00-\u0c7f",
    "thai": "\u0e00-\u0e7f",
    "han": "\u3400-\u9fff",
    "kana": "\u3040-\u30ff",
    "hangul": "\uac00-\ud7af\u1100-\u11ff",
}
_SCRIPTS = {
    **dict.fromkeys("ru uk bg be mk mn kk ky tg".split(), ("cyrillic",)), "sr": ("cyrillic", "latin"), "el": ("greek",),
    **dict.fromkeys("ar fa ur ps ug".split(), ("arabic",)), **dict.fromkeys("he yi".split(), ("hebrew",)),
    **dict.fromkeys("hi mr ne".split(), ("devanagari",)), "bn": ("bengali",), "ta": ("tamil",), "te": ("telugu",),
    "th": ("thai",), "zh": ("han",), "ja": ("han", "kana"), "ko": ("hangul", "han"),
    **dict.fromkeys(
        "en es fr de it pt nl sv da no nb nn fi is pl cs sk sl hr bs ro hu tr vi id ms tl sw ca gl eu et lv lt ga cy "
        "af "
        "sq az uz la eo".split(), ("latin",)),
}  # fmt: skip
# Languages that share most of their short sentences: one is not told from another.
_FAMILIES = tuple(
    frozenset(names.split())
    for names in ("no nb nn da sv", "id ms jv su", "es ca gl pt an ast", "hr bs sr sl", "cs sk", "nl af",
    "ru uk bg be mk sr",
                  "hi mr ne")
)  # fmt: skip
_COUNTED = {name: re.compile(f"[{letters}]") for name, letters in _RANGES.items()}
# Words that are English and, together, nothing else. A caption with enough of them is English whatever its names are.
_ENGLISH = frozenset(
    "the of and with is are while from at for by an its their his her into near over through behind beside between "
    "across "
    "front as this there two three one wearing standing sitting walking holding moving woman people children".split()
)
ENGLISH_SHARE = 0.3


def is_other(text: str, language: str) -> bool:
    """Whether a text is surely in another language than this one (ISO 639-1, `en` or `en-GB`)."""
    language = re.split("[-_]", language.casefold())[0]
    letters = sum(character.isalpha() for character in text)
    own = _SCRIPTS.get(language)
    if own is None or letters < ENOUGH_LETTERS:
        return False
    if sum(len(_COUNTED[script].findall(text)) for script in own) < LEAST_SCRIPT * letters:
        return True
    if language == "zh" and len(_COUNTED["kana"].findall(text)) > 0.2 * letters:
        return True
    if language == "ja" and letters >= 20 and not _COUNTED["kana"].search(text):
        return True
    if own != ("latin",) and own != ("cyrillic",):
        return False  # its script says enough
    found = re.findall(r"[^\W\d_]+", text)
    if len(found) < LEAST_WORDS:
        return False
    if language == "en" and sum(w.casefold() in _ENGLISH for w in found) >= ENGLISH_SHARE * len(found):
        return False
    return _model_denies(" ".join(found), language)


def _model_denies(text: str, language: str) -> bool:
    ranked = {name: float(probability) for name, probability in _model().rank(text)}
    same = next((family for family in _FAMILIES if language in family), frozenset({language}))
    if not same & ranked.keys():
        return False
    likeliest = sorted((odds for name, odds in ranked.items() if name not in same), reverse=True)[:CANDIDATES]
    return sum(ranked.get(name, 0.0) for name in same) < LEAST_PROBABILITY and sum(likeliest) >= SURE


@cache
def _model() -> Any:
    """The model, loaded once (0.7 s)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
