"""Words and phrases for motions of a camera."""

from __future__ import annotations

import re

STILL = "static"
SUBJECTS = frozenset(
    "camera shot view frame footage lens viewpoint perspective drone cameraman framing composition viewfinder angle "
    "video scene image picture clip cinematography".split()
)
# Only of these is it said that they move or stay: an image, a view or a scene is still in other senses.
CAMERAS = frozenset("camera lens drone cameraman viewpoint perspective shot framing composition cinematography".split())
LOOKED_AT = frozenset(
    "at to toward towards with for near past into of before facing by holding on behind holds beside around".split()
)
# Words between the camera and what it does.
BETWEEN = frozenset(
    "is was then also begins starts to continues keeps and first it by now movement motion work angle itself "
    "position has been will can be remains stays "
    "the a appears seems smooth slow gentle subtle slight steady fast quick operator perspective view shot held "
    "handheld being gimbal "
    "throughout mostly entirely completely perfectly".split()
)
VERBS = {
    **dict.fromkeys("pan pans panned panning".split(), "pan"), **dict.fromkeys("tilt tilts tilted tilting".split(),
    "tilt"),
    **dict.fromkeys("zoom zooms zoomed zooming".split(), "zoom"),
    **dict.fromkeys("roll rolls rolling rolled rotate rotates rotating spins".split(), "roll"),
    **dict.fromkeys(
        "move moves moving moved track tracks tracking slide slides sliding sweep sweeps sweeping glide glides "
        "gliding drift drifts drifting travel travels "
        "traveling travelling shift shifts shifting dolly dollies dollying push pushes pushing pull pulls pulling "
        "swing swings swinging truck trucks trucking "
        "pushed pulled turn turns turning advance advances retreat retreats creep creeps creeping whip whips fly "
        "flies flying follow follows following orbit "
        "orbits circle circles circling rise rises rising descend descends descending crane cranes ascend ascends "
        "inch inches edge edges approaches "
        "climb climbs lower lowers backs backing".split(), "move"),
}  # fmt: skip
OWN_WAY = {"advance": "zoom_in", "advances": "zoom_in", "approaches": "zoom_in", "retreat": "zoom_out",
    "retreats": "zoom_out",
            "rise": "tilt_up", "rises": "tilt_up", "rising": "tilt_up", "ascends": "tilt_up", "climbs": "tilt_up",
            "descends": "tilt_down", "descend": "tilt_down", "lowers": "tilt_down"}  # fmt: skip
STILL_WORDS = frozenset("static still stationary fixed motionless locked unmoving immobile locked-off".split())
STILL_VERBS = frozenset("is stays remains stay remain holds sits rests keeps kept being was stands".split())
WAYS = {
    "left": "left", "leftward": "left", "leftwards": "left", "right": "right", "rightward": "right",
    "rightwards": "right", "up": "up", "upward": "up",
    "upwards": "up", "down": "down", "downward": "down", "downwards": "down", "in": "in", "inward": "in",
    "inwards": "in", "closer": "in", "forward": "in", "forwards": "in",
    "out": "out", "back": "out", "outward": "out", "outwards": "out", "backward": "out", "backwards": "out",
    "away": "out", "clockwise": "cw", "counterclockwise": "ccw",
    "anticlockwise": "ccw", "sideways": "", "horizontally": "", "vertically": "",
}  # fmt: skip
MOTIONS = {
    **{(verb, way): f"pan_{way}" for verb in ("pan", "move", "tilt") for way in ("left", "right")},
    **{(verb, way): f"tilt_{way}" for verb in ("pan", "move", "tilt") for way in ("up", "down")},
    **{(verb, way): f"zoom_{way}" for verb in ("zoom", "move", "pan") for way in ("in", "out")},
    **{("roll", way): f"roll_{way}" for way in ("cw", "ccw")}, **{("move", way): f"roll_{way}" for way in ("cw",
    "ccw")},
    **{("roll", way): f"pan_{way}" for way in ("left", "right")},
}  # fmt: skip
REACH = 7  # words behind the verb in which its direction stands
BREAKS = frozenset(
    "as while revealing showing which who that where capturing following keeping when before because , ; : ( )".split()
)
WHERE = frozenset(
    "the a an this his her their its one slow".split()
)  # "in the room" is no direction, "in on the dog" is
PAN = (
    "(?:slow|smooth|gentle|quick|fast|steady|slight|subtle|gradual|camera|long|brief|horizontal|sweeping|lateral|whip|"
    "continuous|short)"
)
NOUNS = (
    (re.compile(rf"\b(?:{PAN} (?:and \w+ )?|^|[,;] ?)(?:pan(?:ning)?(?: shot| movement|"
        r" motion)?) (?:\w+ )?(?:from (?P<f>left|right) to (?:left|right)|(?:to(?:wards?)? (?:the )?)?(?P<w>left|"
        rf"right)|(?P<v>up|down)(?:wards?)?\b)"), "pan"),
    (re.compile(r"\bpanning (?:shot|movement|motion) (?:\w+ )?to(?:wards?)? (?:the )?(?P<w>left|right)"), "pan"),
    (re.compile(r"\b(?P<w>left|right)(?:ward)?[- ](?:camera |slow )?(?:pan(?:ning)?|tracking(?: shot)?)\b"), "pan"),
    (re.compile(rf"\b(?:{PAN}|a|vertical|\A) (?:tilt(?:ing)?)(?: shot| movement| motion)? (?:\w+ )?(?P<w>up|"
        rf"down)"), "tilt"),
    (re.compile(r"\b(?P<w>up|down)ward (?:camera )?(?:tilt|pan)\b"), "tilt"),
    (re.compile(r"\bzoom(?:ing)?[- ](?P<w>in|out)\b(?!-)|\b(?P<v>in|out)ward (?:camera )?zoom\b"), "zoom"),
    (re.compile(r"\b(?:slow|smooth|gentle|steady|quick|fast|gradual|subtle|dramatic|crash|camera) zoom(?: shot)?\b"
        r"(?![- ](?:in|out|call|lens|meeting|level|ring)\b)"), "zoom"),
    (re.compile(r"\b(?:slow|smooth|gentle|steady) pan (?:across|over|along|around)\b"), "pan"),
    (re.compile(r"\b(?:slow|smooth|gentle|steady|subtle|camera|gradual) (?:dolly|push|pull)[- ](?P<w>in|out|back|"
        r"forward)\b|\bdolly[- ](?P<v>in|out|back|forward)\b"), "zoom"),
    (re.compile(r"\b(?:panning|tracking|zooming|tilting|moving|dolly|orbiting) (?:shot|camera)\b|\b(?:a|an|the|slow|"
        r"steady|smooth) (?:camera )?(?:tracking|panning|dolly) shot\b"), "move"),
    (re.compile(
        r"\b(?:static|fixed|stationary|motionless|locked(?:[- ](?:off|down))?|immobile|unmoving|"
        r"tripod(?:[- ]mounted)?)(?:,? \w+)? (?:camera|shot|frame|framing|view|angle|position|"
        r"perspective|viewpoint|take|composition)\b|\bstill (?:camera|shot)\b|\b(?:camera|frame|view|shot|framing) "
        r"(?:\w+ )?(?:does not|doesn't|"
        r"never|did not|is not|isn't) (?:mov|shift|chang)\w*|"
        r"\b(?:no|without|without any|any lack of|absence of) (?:visible |noticeable |apparent |"
        r"discernible )?camera (?:movement|motion)|\bno movement (?:of|from|by) the camera\b|"
        r"\b(?:shot|filmed|recorded|captured) (?:from|on|with) a (?:tripod|fixed|static|stationary)\b|"
        r"\bcamera(?:'s)? (?:\w+ )?(?:locked|fixed|mounted) (?:off|in place|in position|on a tripod)\b|"
        r"\bcamera (?:movement|motion)(?: is|:)? (?:none|static|absent|minimal|fixed|still)\b"), STILL),
)  # fmt: skip
