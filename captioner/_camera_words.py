"""How a caption says that the camera moves, compared with what was measured (names of filters/_camera_names.py)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from captioner._reading import Reading

STILL = "static"
UNJUDGED = (None, "shaky", "mixed")  # what a caption says of these may well be true

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?|[,;:()]")
_SUBJECTS = frozenset(
    "camera shot view frame footage lens viewpoint perspective drone cameraman viewfinder angle video scene image picture clip cinematography".split()
)
# Only of these is it said that they move or stay: an image, a view or a scene is still in other senses.
_CAMERAS = frozenset("camera lens drone cameraman viewpoint perspective shot cinematography".split())
_LOOKED_AT = frozenset(
    "at to toward towards with for near past into of before facing by holding on behind holds beside around".split()
)
# Words between the camera and what it does.
_BETWEEN = frozenset(
    "is was then also begins starts to continues keeps and first it by now movement motion work angle itself "
    "position has been will can be remains stays "
    "the a appears seems smooth slow gentle subtle slight steady fast quick operator perspective view shot held "
    "handheld being gimbal "
    "throughout mostly entirely completely perfectly".split()
)
_VERBS = {
    **dict.fromkeys("pan pans panned panning".split(), "pan"), **dict.fromkeys("tilt tilts tilted tilting".split(), "tilt"),
    **dict.fromkeys("zoom zooms zoomed zooming".split(), "zoom"), **dict.fromkeys("roll rolls rolling rolled rotate rotates rotating spins".split(), "roll"),
    **dict.fromkeys(
        "move moves moving moved track tracks tracking slide slides sliding sweep sweeps sweeping glide glides "
        "gliding drift drifts drifting travel travels "
        "traveling travelling shift shifts shifting dolly dollies dollying push pushes pushing pull pulls pulling "
        "swing swings swinging truck trucks trucking "
        "pushed pulled turn turns turning advance advances retreat retreats creep creeps creeping whip whips fly "
        "flies flying follow follows following orbit "
        "orbits circle circles circling rise rises rising descend descends descending crane cranes ascend ascends "
        "inch inches edge edges approaches "
        "climb climbs lower lowers".split(), "move"),
}  # fmt: skip
_OWN_WAY = {"advance": "zoom_in", "advances": "zoom_in", "approaches": "zoom_in", "retreat": "zoom_out", "retreats": "zoom_out",
            "rise": "tilt_up", "rises": "tilt_up", "rising": "tilt_up", "ascends": "tilt_up", "climbs": "tilt_up",
            "descends": "tilt_down", "descend": "tilt_down", "lowers": "tilt_down"}  # fmt: skip
_STILL_WORDS = frozenset("static still stationary fixed motionless locked unmoving immobile locked-off".split())
_STILL_VERBS = frozenset("is stays remains stay remain holds sits rests keeps kept being was stands".split())
_WAYS = {
    "left": "left", "leftward": "left", "leftwards": "left", "right": "right", "rightward": "right", "rightwards": "right", "up": "up", "upward": "up",
    "upwards": "up", "down": "down", "downward": "down", "downwards": "down", "in": "in", "inward": "in", "inwards": "in", "closer": "in", "forward": "in", "forwards": "in",
    "out": "out", "back": "out", "outward": "out", "outwards": "out", "backward": "out", "backwards": "out", "away": "out", "clockwise": "cw", "counterclockwise": "ccw",
    "anticlockwise": "ccw", "sideways": "", "horizontally": "", "vertically": "",
}  # fmt: skip
_MOTIONS = {
    **{(verb, way): f"pan_{way}" for verb in ("pan", "move", "tilt") for way in ("left", "right")},
    **{(verb, way): f"tilt_{way}" for verb in ("pan", "move", "tilt") for way in ("up", "down")},
    **{(verb, way): f"zoom_{way}" for verb in ("zoom", "move", "pan") for way in ("in", "out")},
    **{("roll", way): f"roll_{way}" for way in ("cw", "ccw")}, **{("move", way): f"roll_{way}" for way in ("cw", "ccw")},
    **{("roll", way): f"pan_{way}" for way in ("left", "right")},
}  # fmt: skip
_REACH = 7  # words behind the verb in which its direction stands
_BREAKS = frozenset(
    "as while revealing showing which who that where capturing following keeping when before because , ; : ( )".split()
)
_WHERE = frozenset(
    "the a an this his her their its one slow".split()
)  # "in the room" is no direction, "in on the dog" is
_PAN = (
    "(?:slow|smooth|gentle|quick|fast|steady|slight|subtle|gradual|camera|long|brief|horizontal|sweeping|lateral|whip|"
    "continuous|short)"
)
_NOUNS = (
    (re.compile(rf"\b(?:{_PAN} (?:and \w+ )?|^|[,;] ?)(?:pan(?:ning)?(?: shot| movement|"
        r" motion)?) (?:\w+ )?(?:from (?P<f>left|right) to (?:left|right)|(?:to(?:wards?)? (?:the )?)?(?P<w>left|"
        rf"right)|(?P<v>up|down)(?:wards?)?\b)"), "pan"),
    (re.compile(r"\b(?P<w>left|right)(?:ward)?[- ](?:camera |slow )?(?:pan(?:ning)?|tracking(?: shot)?)\b"), "pan"),
    (re.compile(rf"\b(?:{_PAN}|a|vertical|\A) (?:tilt(?:ing)?)(?: shot| movement| motion)? (?:\w+ )?(?P<w>up|"
        rf"down)"), "tilt"),
    (re.compile(r"\b(?P<w>up|down)ward (?:camera )?(?:tilt|pan)\b"), "tilt"),
    (re.compile(r"\bzoom(?:ing)?[- ](?P<w>in|out)\b(?!-)|\b(?P<v>in|out)ward (?:camera )?zoom\b"), "zoom"),
    (re.compile(r"\b(?:slow|smooth|gentle|steady|subtle|camera|gradual) (?:dolly|push|pull)[- ](?P<w>in|out|back|"
        r"forward)\b|\bdolly[- ](?P<v>in|out|back|forward)\b"), "zoom"),
    (re.compile(r"\b(?:panning|tracking|zooming|tilting|moving|dolly|orbiting) (?:shot|camera)\b|\b(?:a|an|the|slow|"
        r"steady|smooth) (?:camera )?(?:tracking|panning|dolly) shot\b"), "move"),
    (re.compile(
        r"\b(?:static|fixed|stationary|motionless|locked(?:[- ](?:off|down))?|immobile|unmoving|"
        r"tripod(?:[- ]mounted)?)(?:,? \w+)? (?:camera|shot|frame|framing|view|angle|position|"
        r"perspective|viewpoint|take|composition)\b|\bstill (?:camera|shot)\b|\b(?:camera|frame|view|shot|framing) (?:\w+ )?(?:does not|doesn't|"
        r"never|did not|is not|isn't) (?:mov|shift|chang)\w*|"
        r"\b(?:no|without|without any|any lack of|absence of) (?:visible |noticeable |apparent |"
        r"discernible )?camera (?:movement|motion)|\bno movement (?:of|from|by) the camera\b|"
        r"\b(?:shot|filmed|recorded|captured) (?:from|on|with) a (?:tripod|fixed|static|stationary)\b|"
        r"\bcamera(?:'s)? (?:\w+ )?(?:locked|fixed|mounted) (?:off|in place|in position|on a tripod)\b|"
        r"\bcamera (?:movement|motion)(?: is|:)? (?:none|static|absent|minimal|fixed|still)\b"), STILL),
)  # fmt: skip


def motions(reading: Reading) -> Iterator[str]:
    """What the caption asserts: names of motions, or `pan`, `tilt`, `zoom`, `roll`, `move` without a direction."""
    for sentence in reading.sentences:
        for pattern, verb in _NOUNS:
            for found in pattern.finditer(sentence):
                if _negated(sentence[: found.start()]):
                    continue
                ways = {key: way for key, way in found.groupdict().items() if way}
                way = next(iter(ways.values()), "")
                if "f" in ways:
                    way = "right" if way == "left" else "left"
                yield verb if verb == STILL else _MOTIONS.get((verb, _WAYS.get(way, "")), verb)
        words = _WORD.findall(sentence)
        for i, word in enumerate(words):
            if word in _SUBJECTS and not (i and _is_object(words, i)):
                yield from _does(words, i)


def _is_object(words: list[str], i: int) -> bool:
    """Looks at the camera; a view of; with a camera."""
    before = (
        words[i - 1]
        if words[i - 1] not in ("the", "a", "his", "her", "their", "an")
        else (words[i - 2] if i > 1 else "")
    )
    return before in _LOOKED_AT and not (before in ("with", "of") and words[i - 1] == "the" and words[i] == "camera")


def _negated(before: str) -> bool:
    return re.search(r"\b(?:no|not|without|never|n't|nor)(?: \w+)?\s*$", before[-30:]) is not None


def _does(words: list[str], i: int) -> Iterator[str]:
    """What follows a camera: adverbs, a verb and its direction; "and" goes on with the next verb."""
    at, still_verb = i + 1, False
    while at < len(words):
        word = words[at]
        if word in _VERBS and (words[i] in _CAMERAS or _VERBS[word] in ("pan", "tilt", "zoom")):
            before = words[max(i, at - 3) : at]
            if any(w in ("not", "never", "no", "without", "doesn't", "isn't", "nor") for w in before):
                if _VERBS[word] == "move":
                    yield STILL
                return
            way, at = _direction(words, at)
            yield way
            still_verb = False
            while at < len(words) and words[at] in (",", "and", "then", "before", "slowly"):
                at += 1
            if at >= len(words) or words[at] not in _VERBS:
                return
            continue
        if word in _STILL_WORDS or (word == "steady" and still_verb):
            after = words[at + 1] if at + 1 < len(words) else ""
            if word == "still" and after in _VERBS:
                at += 1
                continue
            if (
                words[i] in _CAMERAS
                and still_verb
                and not (word == "fixed" and after == "on" and "tripod" not in words[at : at + 5])
            ):
                negated = any(w in ("not", "never", "isn't", "hardly") for w in words[i:at])
                if not negated:
                    yield STILL
            return
        still_verb = still_verb or word in _STILL_VERBS
        if word not in _BETWEEN and word not in _STILL_VERBS and not word.endswith("ly") and word not in (
            "not", "never", "doesn't", "isn't", "does", "no", "still"):  # fmt: skip
            return
        at += 1


def _direction(words: list[str], at: int) -> tuple[str, int]:
    """The motion of the verb at this place, and where the reading goes on."""
    verb = _VERBS[words[at]]
    own = _OWN_WAY.get(words[at])
    for i in range(at + 1, min(len(words), at + 1 + _REACH)):
        word = words[i]
        if word in _BREAKS or (word == "and" and i + 1 < len(words) and words[i + 1] in _VERBS):
            return own or verb, i
        if word == "from" and words[i + 1 : i + 2] and words[i + 1] in ("left", "right"):
            return _MOTIONS.get((verb, "right" if words[i + 1] == "left" else "left"), verb), i + 4
        if word == "counter":
            return _MOTIONS.get((verb, "ccw"), verb), i + 2
        way = _WAYS.get(word)
        if way is None or (word == "in" and i + 1 < len(words) and words[i + 1] in _WHERE and verb != "zoom"):
            continue
        if (
            word in ("left", "right")
            and words[i + 1 : i + 2]
            and words[i + 1] in ("hand", "side", "of")
            and words[i - 1] != "to"
        ):
            continue
        if (verb, way) in _MOTIONS:
            return _MOTIONS[verb, way], i + 1
    toward = {"towards", "toward", "into"} & set(words[at + 1 : at + 3])
    return own or ("zoom_in" if toward and verb == "move" else verb), min(len(words), at + 2)


def contradicts(reading: Reading, camera: str | None) -> bool:
    """Whether motions are asserted and none of them is what was measured."""
    if camera in UNJUDGED:
        return False
    said = list(motions(reading))
    return bool(said) and not any(_fits(motion, camera) for motion in said)


def _fits(said: str, camera: str) -> bool:
    if STILL in (said, camera):
        return said == camera
    if said == "move" or said == camera:
        return True
    return "_" not in said and (camera.startswith(said) or said == "pan")
