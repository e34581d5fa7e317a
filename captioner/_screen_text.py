"""On-screen text that a caption claims, compared with what OCR read.

OCR errs by a letter or two, joins words, parts lines and reads them in its own order; a text counts as read if most of
its characters are found in one string, in several joined, or word by word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from captioner._reading import Quote, Reading

# Of the characters of a claim, the share that may be wrong, and for claims of several words the share that must be
# found word by word. OCR of overlays errs in 2 to 10 % of the characters, on signs in the picture in up to 20 %.
MOST_WRONG = 0.25
LEAST_FOUND, LEAST_FOUND_LONG = 0.75, 0.6
LONG = 4  # words of a claim of which some may be beyond OCR
FUZZY_FROM = 4  # characters of a word that may have one wrong
MOST_CLAIMS, MOST_READ = 40, 8000  # claims and characters of OCR that are compared
MOST_STEPS = 200_000  # characters of OCR that are compared with claims, 0.3 s; what is left then counts as read

# Letters that OCR takes for each other, as one.
_SAME = str.maketrans("0158|!$9q6ij", "olsbllsggbll")

_TEXT = (
    "signs?|banners?|text|words?|letters?|lettering|reads?|reading|says?|saying|label(?:s|led|ed)?|labelling|titled?|"
    "titles|written|"
    "writing|logos?|captions?|captioned|subtitles?|poster|screens?|shirt|t-shirt|jersey|hoodie|cap|hat|board|plates?|"
    "sticker|graffiti|headline|number|"
    "numbers|inscriptions?|inscribed|displays?|displaying|printed|painted|spell(?:s|ed|ing)?|overlay|overlaid|"
    "watermark|billboard|neon|placard|"
    "brand|branded|book|bottle|box|bag|mug|storefront|marquee|packag\\w+|chyron|ticker|button|menu|url|tattoo|"
    "engraved|embroidered|"
    "letters|marked|marking|message|slogan|phrase|headed|heading|stamped|embossed|slide|page|card|wall|truck|van|bus|"
    "flag|legend|"
    "shows|showing|bearing|bears|name|prompt|whiteboard|chalkboard|blackboard|scoreboard|credits?|badge|plaque|note|"
    "newspaper"
)
_WRITES = re.compile(rf"\b(?:{_TEXT})\b")
_SPEAKS = re.compile(
    r"\b(?:shout|yell|ask|exclaim|whisper|repl|sing|sang|chant|mouth|announc|call|scream|cr(?:y|ie)|mutter|murmur|"
    r"answer|greet|respond|declar|joke|"
    r"quip|utter|speak|spoke|told|tell|said|cheer|greet|beg|thinks?|lip-sync)\w*\b"
)
_SAYS = re.compile(r"\b(?:says?|saying)\b")
_NICKNAME = re.compile(
    r"\b(?:nicknamed?|call(?:ed|s|ing)?|known as|so-called|dubbed|named|aka|a\.k\.a\.|affectionately|termed|nickname|"
    r"like an?|resembl\w+|shaped? like|shape of)\b"
    r"[\s,:]*(?:the |an? )?$"
)
_GESTURE = re.compile(r"^\s*(?:gesture|pose|shape|shaped|formation|hand|finger|signal|face|symbol|style|move|dance|"
    r"effect|expression|look|haircut|turn|"
                      r"selfie|sign with|position|like|-)\b")  # fmt: skip
_HAND_SIGN = re.compile(r"\b(?:mak|flash|giv|throw|hold(?:s|ing)? up)\w*\s+(?:an? |the )?$")
_WORK = re.compile(
    r"\b(?:songs?|movie|film|games?|series|show|track|album|piece|tune|anthem|episode|sitcom|musical|perform\w*|"
    r"plays?|playing|sings?|singing|"
    r"covers?|dances? to|dancing to|from|cartoon|anime|opera|poem|recit\w+|novel)\s+$"
)
_SPEAKER = re.compile(
    r"^\W*(?:(?:says?|said|asks?|shouts?|yells?|exclaims?|whispers?|replies|cries) (?:an?|the|he|she|one|his|her)\b|"
    r"(?:he|she|they|the \w+|an? \w+) "
    r"(?:says?|said|asks?|shouts?|yells?|exclaims?|whispers?|replies|cries)\b)"
)
_PERSON = re.compile(
    r"\b(?:man|woman|boy|girl|he|she|they|person|speaker|narrator|voice|presenter|reporter|teacher|child|kid|host|"
    r"crowd|someone|people|player|"
    r"coach|singer|actor|actress|mother|father|guy|lady|men|women|fans?|chef|officer|students?|children|everyone|"
    r"rapper|vocalist|anchor)\b"
)
_BEARER = re.compile(
    r"\b(?:sign|banner|text|words?|letter(?:s|ing)?|label|logo|caption|subtitles?|poster|screen|shirt|t-shirt|jersey|"
    r"hoodie|cap|hat|board|plate|"
    r"sticker|graffiti|headline|inscription|display|overlay|watermark|billboard|placard|book|bottle|box|bag|mug|"
    r"storefront|marquee|chyron|ticker|"
    r"button|card|title|message|that|which|page|slide|whiteboard|chalkboard|scoreboard|plaque|badge|note|wall|truck|"
    r"van|bus|flag|it|title|cover)s?\b"
)
_NAMES = re.compile(
    r"\b(?:labell?ed|titled|entitled|captioned|(?:the )?(?:words?|letters|phrase|slogan|headline|"
    r"inscription))[ :]{1,2}(?=[^\W_])",
    re.I,
)
_READS = re.compile(
    rf"{_BEARER.pattern}(?:\s+[^\W\d_]+){{0,4}}?\s+(?:that |which )?(?:reads?|reading|says?|saying|"
    rf"spells?(?: out)?|spelling(?: out)?):? (?=[^\W_])",
    re.I,
)
_RUN = re.compile(r"[^\W_][\w'&.-]*(?:[ ,]+[^\W_][\w'&.-]*){0,7}")
_CLAIM_ENDS = frozenset(
    "is are was were in on at above below across over under near beside behind and as while with by appears appear "
    "hangs hang stands painted "
    "written printed glows glow can from to of that which it".split()
)  # fmt: skip


def claims(reading: Reading) -> Iterator[str]:
    """Texts that the caption says can be read: quoted ones but for speech and nicknames, and those after "reads"."""
    for quote in reading.quotes:
        if _is_claim(reading, quote):
            yield quote.text
    for pattern in (_NAMES, _READS):
        for found in pattern.finditer(reading.own):
            claim = _unquoted(reading.own, found.end())
            if claim:
                yield claim


def _is_claim(reading: Reading, quote: Quote) -> bool:
    sentence = max(reading.own.rfind(end, 0, quote.start) for end in (". ", "! ", "? ", "\n")) + 1
    before = reading.own[max(sentence, quote.start - 160) : quote.start].casefold()
    after = reading.own[quote.end : quote.end + 40].casefold()
    if _NICKNAME.search(before) or _GESTURE.search(after) or _HAND_SIGN.search(before):
        return False
    if _WORK.search(before) or _SPEAKER.search(after):
        return False
    writes, says = _last(_WRITES, before), _last(_SAYS, before)
    speaks = max(_last(_SPEAKS, before), says if says == writes else -1)
    if speaks >= writes and speaks >= 0 and _last(_BEARER, before[:speaks]) <= _last(_PERSON, before[:speaks]):
        return False
    plain_words = re.fullmatch(r"[^\W\d_]+(?:[ -][^\W\d_]+)?", quote.text)
    # One or two words in lower case may be somebody's way of speaking ("a 'selfie' stick").
    return writes >= 0 or not plain_words or not quote.text.islower()


def _last(pattern: re.Pattern[str], text: str) -> int:
    return max((found.start() for found in pattern.finditer(text)), default=-1)


def _unquoted(text: str, at: int) -> str | None:
    """The text that a cue announces without quotation marks: words in capitals, or else the first word or two."""
    if text[at - 1 : at].isspace() and text[:at].rstrip().endswith(('"', "'")):
        return None
    run = _RUN.match(text, at, at + 120)
    if run is None:
        return None
    found = re.split(r"[ ,]+", run.group().rstrip(".,"))
    capitals = [word for word in found if word[0].isupper() or word[0].isdigit()]
    if found[0] in capitals:
        count = next((i for i, word in enumerate(found) if word not in capitals), len(found))
        return " ".join(found[:count])
    named = next((i for i, word in enumerate(found) if word.casefold() in _CLAIM_ENDS), len(found))
    return " ".join(found[: min(named, 2)]) or None


class Screen:
    """What OCR read, ready to be searched."""

    def __init__(self, texts: Sequence[str]) -> None:
        strings = [str(text) for text in texts][:MOST_READ]
        self.joined = "".join(map(_folded, strings))[:MOST_READ]
        parts = [part for text in strings for part in map(_folded, text.split()) if part][: MOST_READ // 4]
        self.parts = set(parts) | {a + b for a, b in pairwise(parts)}
        self._steps = MOST_STEPS
        self._known: dict[str, bool] = {}

    def shows(self, claim: str) -> bool:
        """Whether the claim was read, give or take the errors of OCR."""
        wanted = _folded(claim)
        if not wanted or self._has(wanted):
            return True
        found = [part for part in map(_folded, claim.split()) if part]
        least = LEAST_FOUND_LONG if len(found) >= LONG else LEAST_FOUND
        return sum(len(part) for part in found if self._has(part)) >= least * len(wanted)

    def _has(self, wanted: str) -> bool:
        if wanted not in self._known:
            self._known[wanted] = self._finds(wanted)
        return self._known[wanted]

    def _finds(self, wanted: str) -> bool:
        if wanted in self.parts:
            return True
        if len(wanted) < FUZZY_FROM:
            return len(wanted) == FUZZY_FROM - 1 and any(wanted in part for part in self.parts)
        if wanted in self.joined:
            return True
        if len(wanted) >= 2 * FUZZY_FROM:
            return self._apart(wanted, self.joined) <= MOST_WRONG * len(wanted)
        # A short word is nearly found in any long text: compare it with words, not with the text.
        most = 1 if len(wanted) < 7 else 2
        near = (part for part in self.parts if abs(len(part) - len(wanted)) <= most)
        return any(self._apart(wanted, part, whole=True) <= most for part in near)

    def _apart(self, wanted: str, text: str, *, whole: bool = False) -> int:
        self._steps -= len(text)
        return distance(wanted, text, whole=whole) if self._steps >= 0 else 0


def _folded(text: str) -> str:
    """Letters and digits alone, without case, accents and what OCR mixes up."""
    text = unicodedata.normalize("NFKD", text.casefold())
    return "".join(c for c in text if c.isalnum()).translate(_SAME).replace("rn", "m").replace("vv", "w")


def distance(wanted: str, text: str, *, whole: bool = False) -> int:
    """Fewest edits that make `wanted` a part of text, or all of it. Bit-parallel: Myers, J. ACM 46 (1999)."""
    size = len(wanted)
    if not size:
        return len(text) if whole else 0
    rows: dict[str, int] = {}
    for at, character in enumerate(wanted):
        rows[character] = rows.get(character, 0) | 1 << at
    full, last = (1 << size) - 1, 1 << size - 1
    up, down, score = full, 0, size
    best = score
    for character in text:
        equal = rows.get(character, 0)
        vertical = equal | down
        equal |= ((equal & up) + up) ^ up
        right, left = down | ~(equal | up) & full, up & equal
        score += bool(right & last) - bool(left & last)
        right = (right << 1 | whole) & full
        left = left << 1 & full
        up, down = left | ~(vertical | right) & full, right & vertical
        best = min(best, score)
    return score if whole else best


def is_unseen(reading: Reading, texts: Sequence[str]) -> bool:
    """Whether the caption claims a text that OCR did not read."""
    screen = Screen(texts)
    return any(not screen.shows(claim) for _, claim in zip(range(MOST_CLAIMS), claims(reading), strict=False))
