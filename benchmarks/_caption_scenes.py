"""Good captions as models and people write them, short and dense, each with evidence that fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks._caption_good_phrases import ACTS, HARD, MIDDLES, MORE, SHORTS, TEXTS, WHERE, WHO
from captioner.checks import Evidence
from filters._colours import NAMES as COLOURS

CAMERAS = {
    "static": ("The camera remains still throughout.", "The shot is static.", "Filmed from a fixed camera position.",
    "The frame does not move."),
    "pan_left": ("The camera pans left across the scene.", "A slow pan to the left follows.",
    "The camera drifts gently leftward."),
    "pan_right": ("The camera pans slowly from left to right.", "The camera glides to the right.",
    "A smooth pan right reveals more."),
    "tilt_up": ("The camera tilts up toward the sky.", "A gentle upward tilt ends the shot."),
    "tilt_down": ("The camera tilts down to the ground.", "The view tilts downward."),
    "zoom_in": ("The camera slowly zooms in on the subject.", "The camera pushes in.", "The lens gradually zooms in."),
    "zoom_out": ("The camera pulls back to show the surroundings.", "It ends as the camera zooms out."),
    "shaky": ("The handheld camera shakes as it follows.", "The camera pans left, then jerks back."),
    "mixed": ("The camera pans left while tilting up.", "The camera moves freely through the space."),
}  # fmt: skip
NOUNS = {
    "dog": ("dog", "dogs"), "cat": ("cat", "cats"), "person": ("person", "people"), "car": ("car", "cars"),
    "bird": ("bird", "birds"),
    "child": ("child", "children"), "boat": ("boat", "boats"), "horse": ("horse", "horses"), "bicycle": ("bicycle",
    "bicycles"),
    "woman": ("woman", "women"), "sheep": ("sheep", "sheep"), "bus": ("bus", "buses"),
}  # fmt: skip
DOES = {
    "dog": ("running along the shore", "chasing a ball", "sleeping on a rug", "shaking off water"),
    "cat": ("lying on a windowsill", "stretching on a sofa", "stalking a toy"),
    "person": ("walking through a market", "waiting at a crossing", "sitting around a table", "dancing in a hall"),
    "car": ("driving down a wet road", "parked by the curb", "turning at a junction"), "bird": ("perched on a wire",
    "pecking at seeds"),
    "child": ("playing in the sand", "building a tower of blocks", "jumping into a pool"),
    "boat": ("rocking in the harbour", "crossing the bay"),
    "horse": ("grazing in a meadow", "galloping along a fence"), "bicycle": ("leaning against a wall",
    "standing in a rack"),
    "woman": ("rowing across a lake", "talking over coffee"), "sheep": ("grazing on a slope", "crossing a lane"),
    "bus": ("waiting at a stop", "pulling into a station"),
}  # fmt: skip
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
PLACES = ("on a sunny beach", "in a narrow street", "at the edge of a forest", "in front of a brick wall",
    "beside a river at dusk", "under a cloudy sky",
          "in a crowded station", "inside a large kitchen", "near the old harbour", "on a rooftop terrace")  # fmt: skip
THINGS = (
    "umbrella",
    "jacket",
    "door",
    "scarf",
    "kite",
    "blanket",
    "balloon",
    "bucket",
    "tent",
    "bench",
    "curtain",
    "helmet",
)
OCR_ERRORS = {"o": "0", "i": "l", "e": "c", "s": "5", "a": "o", "n": "m", "t": "f", "r": "n", "b": "8", "g": "q"}
PROMPT = (
    "These are frames of one video clip, in the order of time. Describe the clip so that somebody could draw it: the "
    "main subject, what surrounds it and what happens from the "
    "first frame to the last. Say only what can be seen. Keep your answer to at most five sentences."
)


@dataclass(frozen=True)
class Case:
    """A caption with everything that the checks are told of it."""

    text: str
    kind: str = "dense"
    evidence: Evidence = field(default_factory=Evidence)
    prompt: str = PROMPT
    truncated: bool = False


def pick(rng: np.random.Generator, of: Sequence[str]) -> str:
    """One of them."""
    return of[int(rng.integers(len(of)))]


def misread(rng: np.random.Generator, text: str) -> str:
    """A text as OCR reads it: one character in twelve wrong, sometimes without its spaces."""
    read = "".join(OCR_ERRORS.get(c.casefold(), c) if rng.random() < 1 / 12 else c for c in text)
    return read.replace(" ", "") if rng.random() < 0.2 else read


def read_of(rng: np.random.Generator, *texts: str) -> list[str]:
    """Strings that OCR read: these with errors, in parts now and then, and things of its own."""
    strings: list[str] = []
    for text in texts:
        parts = text.split() if rng.random() < 0.4 else [text]
        strings += [misread(rng, part) for part in parts]
    strings += [pick(rng, ("12:45", "KODAK", "ll|", "www", "No.3"))] if rng.random() < 0.3 else []
    return strings


def counted(rng: np.random.Generator, number: int, noun: str) -> str:
    """`two dogs`, `2 dogs`, `a pair of dogs`."""
    one, many = NOUNS[noun]
    if number == 1:
        return f"{pick(rng, ('one', 'a single', 'a'))} {one}"
    ways = [
        f"{NUMBERS[number]} {many}",
        f"{number} {many}",
        f"{NUMBERS[number]} {pick(rng, ('small', 'large', 'young', 'wet'))} {many}",
    ]
    return pick(rng, [*ways, f"a pair of {many}"] if number == 2 else ways)


def shares(rng: np.random.Generator, present: tuple[str, ...], absent: tuple[str, ...] = ()) -> dict[str, float]:
    """Shares of a picture with these colours and some others, and none of the absent ones."""
    others = [name for name in COLOURS if name not in present and name not in absent and rng.random() < 0.5]
    weights = rng.dirichlet(np.ones(len(present) + len(others) + 1))
    # What is named may be small, but it is there.
    return {name: float(max(w, 0.001)) for name, w in zip([*present, *others], weights, strict=False)}


def short(rng: np.random.Generator) -> str:
    """A sentence or a fragment, with a full stop or without."""
    if rng.random() < 0.1:
        return pick(rng, SHORTS)
    who, does, where, more = (pick(rng, part) for part in (WHO, ACTS, WHERE, MORE))
    text = pick(rng, (f"{who} {does} {where}", f"{who} {does} {where}{more}", f"{who} {does}{more}"))
    return text + pick(rng, (".", "", "."))


def good(rng: np.random.Generator) -> Case:
    """A caption that nothing is wrong with."""
    draw = rng.random()
    if draw < 0.2:
        return Case(short(rng), "short", Evidence(texts=[], camera="static", colours=None, counts=None))
    if draw < 0.4:
        text = " ".join([pick(rng, HARD), *dict.fromkeys(pick(rng, MIDDLES) for _ in range(int(rng.integers(0, 4))))])
        return Case(
            text,
            "short",
            Evidence(texts=None if '"' in text else read_of(rng), colours={"gray": 0.9, "white": 0.1}, camera="static"),
        )
    return dense(rng)


def dense(rng: np.random.Generator, camera: str | None = None) -> Case:
    """Several sentences with a number, colours, a text and the camera."""
    noun, number = pick(rng, list(NOUNS)), int(rng.integers(1, 9))
    colours = tuple(str(c) for c in rng.choice(COLOURS, 2, replace=False))
    camera, sign = camera or pick(rng, list(CAMERAS)), pick(rng, TEXTS)
    subject = counted(rng, number, noun)
    first = pick(
        rng,
        (
            f"{subject} {pick(rng, DOES[noun])} {pick(rng, PLACES)}.",
            f"{pick(rng, PLACES)}, {subject} can be seen {pick(rng, DOES[noun])}.",
        ),
    )
    sentences = [first[0].upper() + first[1:]]
    sentences.append(
        f"A {colours[0]} {pick(rng, THINGS)} stands out against the {colours[1]} {pick(rng, THINGS)} behind it."
    )
    with_text = rng.random() < 0.6
    if with_text:
        sentences.append(pick(rng, (
            f'A sign reads "{sign}".', f"On a board one sees the words \u201c{sign}\u201d.",
            f'A poster saying "{sign}" hangs nearby.', f"The text '{sign}' is printed on a wall.")))  # fmt: skip
    sentences += [pick(rng, MIDDLES) for _ in range(int(rng.integers(0, 3)))]
    if rng.random() < 0.7:
        sentences.append(pick(rng, CAMERAS[camera]))
    evidence = Evidence(
        texts=read_of(rng, sign) if with_text else read_of(rng),
        colours=shares(rng, colours),
        counts={noun: number},
        camera=camera,
    )
    return Case(" ".join(dict.fromkeys(sentences)), "dense", evidence)


def with_text(case: Case, text: str) -> Case:
    """The same clip with another caption."""
    return replace(case, text=text)
