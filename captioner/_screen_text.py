"""On-screen text that a caption claims, in quotation marks or after words like "reads"; speech and names are none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from captioner._ocr_match import Screen
from captioner._reading import Quote, Reading

MOST_CLAIMS = 40  # claims of a caption that are looked up

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
    r"call(?:s|ed|ing)?(?: (?!label|read|say|sign|with|mark|writ|print)\w+){1,6}|"
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
_RUN = re.compile(r"[^\W_][\w'&.:/%\u2010-\u2015\u2212-]*(?:[ ,]+[^\W_][\w'&.:/%\u2010-\u2015\u2212-]*){0,7}")
# A number that a display shows, and nothing behind it that it may count. OCR does not read dials.
_SHOWS = re.compile(
    r"\b(?:scoreboard|display|screen|sign|counter|meter|ticker|tag|board|plate|jersey|caption|panel)s? (?:\w+ )?"
    r"(?:shows?|displays?|showing|displaying|bears|bearing) (?:the )?(?:number |score |price |time |date )?"
    r"(?=\d[\d.,:/%\u2010-\u2015-]*(?:\W*$|[.,;]\s| (?:as|while|when|in|on|at|and|with|above|below)\b))",
    re.I,
)
# "A STOP sign": capitals are its letters, but for those that say how it is lit or whose it is.
_CAPITALS = re.compile(r"\b([A-Z][A-Z']{2,}(?: [A-Z]{2,}){0,3}) (?:sign|banner|placard|poster)s?\b")
_NO_LETTERS = frozenset("LED LCD NEON TV VIP USA ASL BSL NBA NFL FIFA BBC CNN NASA UNESCO RGB OLED".split())
# What a quotation must stand beside to be a text in the picture, where nothing before it says so.
_SEEN_AFTER = re.compile(
    r"^[\s,]*(?:(?:is|are|was|were|can be|appears?|flash\w*|fades?|glows?|scrolls?|blinks?|pops?|being|in|on|across|"
    r"stands?|hangs?|above|over)\b[^.]{0,40}?\b(?:written|painted|printed|read|screen|letters?|sign|wall|shirt|side|"
    r"banner|visible|seen|shown|displayed|door|window|gate|front|back|spray\w*|engraved|carved|overlaid|top|bottom|"
    r"corner|entrance|chest|label|poster)\b|(?:appears?|flash\w*|fades? (?:in|out)|glows?|scrolls?|blinks?|pops? up)\b|"
    r"(?:sign|banner|label|sticker|logo|lettering|poster|placard|caption|title card|graffiti)s?\b)"
)
_READER = re.compile(r"\bread(?:s|ing)?(?: from| aloud| out)?\s+$")
_OWNER = re.compile(r"(?<=\w)(?:'s|s')\s+(?:\w+ )?$")
_NAMED = re.compile(
    r"\b(?:aboard|ship|boat|yacht|ferry|frigate|schooner|submarine|shuttle|spacecraft|probe|rover|rocket|locomotive|"
    r"train|aircraft|plane|bomber|car|coupe|sedan|roadster|motorcycle|robot|statue|sculpture|painting|fresco|mural|"
    r"portrait|ballet|symphony|sonata|waltz|aria|hymn|carol|lullaby|concerto|overture|ballad|trick|stunt|move|pose|"
    r"stretch|manoeuvre|maneuver|dish|drink|cocktail|dessert|horse|racehorse|parrot|team|band|group|duo|troupe|club|"
    r"operation|mission|project|hurricane|typhoon|storm|nickname|character|superhero|ride|rollercoaster|"
    r"roller coaster|restaurant|hotel|café|cafe|pub|festival|race|leads?|conducts?|conducting|rehears\w+|hums?|"
    r"humming|whistl\w+|strums?|fiddles?)(?: the| a| an)?[\s,]+$"
)
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
    for found in _SHOWS.finditer(reading.own):
        yield re.split(r"\s", reading.own[found.end() :], maxsplit=1)[0].rstrip(".,;:")


def _is_claim(reading: Reading, quote: Quote) -> bool:
    sentence = max(reading.own.rfind(end, 0, quote.start) for end in (". ", "! ", "? ", "\n")) + 1
    before = reading.own[max(sentence, quote.start - 160) : quote.start].casefold()
    after = reading.own[quote.end : quote.end + 40].casefold()
    if _NICKNAME.search(before) or _GESTURE.search(after) or _HAND_SIGN.search(before):
        return False
    if _WORK.search(before) or _SPEAKER.search(after) or _NAMED.search(before):
        return False
    owner = _OWNER.search(before)
    if owner and not _OWNED.search(before):
        return False  # Beethoven's "Ode to Joy"; but the shop's "Open" sign
    reads = _READER.search(before)
    if reads and _last(_BEARER, before[: reads.start()]) < _last(_PERSON, before[: reads.start()]):
        return False  # a man who reads "War and Peace"; but not a man with a sign that reads "STOP"
    writes, says = _last(_WRITES, before), _last(_SAYS, before)
    speaks = max(_last(_SPEAKS, before), says if says == writes else -1)
    if speaks >= writes and speaks >= 0 and _last(_BEARER, before[:speaks]) <= _last(_PERSON, before[:speaks]):
        return False
    if writes >= 0:
        return True
    plain_words = re.fullmatch(r"[^\W\d_]+(?:[ -][^\W\d_]+)?", quote.text)
    # One or two words in lower case may be somebody's way of speaking ("a 'selfie' stick").
    return _SEEN_AFTER.search(after) is not None and not (
        plain_words and quote.text.islower() and not _SIGN.search(after)
    )


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
    if _ONLY_NAMES.search(text[max(0, at - 12) : at]):
        return None  # a titled nobleman, a labelled box
    named = next((i for i, word in enumerate(found) if word.casefold() in _CLAIM_ENDS), len(found))
    return " ".join(found[: min(named, 2)]) or None


_ONLY_NAMES = re.compile(r"(?:labell?ed|titled|captioned)\W+$", re.I)


_OWNED = re.compile(
    rf"(?:{_BEARER.pattern}|\b(?:shop|store|bakery|theat(?:er|re)|building|bar|diner|motel|garage|team|player|man|"
    rf"woman|"
    rf"boy|girl|child)\b)(?<=\w)'s\s+(?:\w+ )?$"
)
_SIGN = re.compile(
    r"^[\s,]*(?:is|are|in|on|across|above)?\b[^.]{0,30}\b(?:written|painted|printed|letters?|engraved|carved)\b"
)


def is_unseen(reading: Reading, texts: Sequence[str]) -> bool:
    """Whether the caption claims a text that OCR did not read."""
    screen = Screen(texts)
    if texts and any(
        not screen.shows(found) for found in _CAPITALS.findall(reading.own) if found.split()[0] not in _NO_LETTERS
    ):
        return True
    return any(not screen.shows(claim) for _, claim in zip(range(MOST_CLAIMS), claims(reading), strict=False))
