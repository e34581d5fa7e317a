"""Planted faults that only evidence shows: another text, colour, number or motion of the camera."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks._caption_good_phrases import HARD, SHORTS, TEXTS
from benchmarks._caption_scenes import CAMERAS, DOES, NOUNS, NUMBERS, PLACES, THINGS, Case, dense, pick, read_of, shares
from captioner.checks import Evidence
from filters._colours import NAMES as COLOURS

NEAR = {"red": ("crimson", "scarlet"), "blue": ("navy blue", "deep blue"), "gray": ("grey", "silver grey"),
    "purple": ("bright purple",), "yellow": ("pale yellow",), "pink": ("hot pink",)}  # fmt: skip


# Neighbours that light and taste take for each other: of a colour that is not there they are not there either.
BESIDE = {
    "black": ("gray",), "gray": ("black", "white"), "white": ("gray",), "red": ("orange", "pink", "brown"),
    "orange": ("red", "yellow", "brown", "pink"), "brown": ("orange", "red"), "yellow": ("orange", "green"),
    "green": ("blue", "yellow"), "blue": ("purple", "green"), "purple": ("blue", "pink"),
    "pink": ("red", "purple", "orange"),
}  # fmt: skip


def unseen_text(rng: np.random.Generator) -> Case:
    case = dense(rng)
    claim = pick(rng, TEXTS)
    others = [text for text in TEXTS if not set(text.casefold().split()) & set(claim.casefold().split())]
    ways = (
        'A sign reads "{}".', "The words \u201c{}\u201d appear on screen.", "A shop window is labelled '{}'.",
        "A banner says {}.", 'The title "{}" fades in.', 'Her shirt has "{}" printed on it.',
        "A chapter titled {} begins.", 'The screen displays "{}" in large letters.',
        "Above the door, the word {} glows.", 'In the corner, "{}" can be read.', "A placard reads: \u00ab{}\u00bb.",
        'On the truck is written "{}".',
    )  # fmt: skip
    texts = read_of(rng, pick(rng, others)) if rng.random() < 0.7 else []
    first = case.text.split(". ")[0].rstrip(".")
    return replace(case, text=f"{first}. {pick(rng, ways).format(claim)}", evidence=replace(case.evidence, texts=texts))


def wrong_colour(rng: np.random.Generator) -> Case:
    colour = pick(rng, COLOURS)
    there = pick(rng, [other for other in COLOURS if other != colour and other not in BESIDE[colour]])
    name = pick(rng, (colour, *NEAR.get(colour, ())))
    thing, noun = pick(rng, THINGS), pick(rng, list(NOUNS))
    ways = (
        "A {} {} stands {}.", "Someone carries a {} {} {}.", "The {1} is {0} and lies {2}.",
        "A {} and {there} {} catches the eye {}.", "The {1}, painted {0}, sways {2}.",
        "Two shades of {} cover the {} {}.",
        "A bright {} {} hangs {}.", "It is a {}-coloured {} {}.", "A person in a {} {} walks by {}.",
    )  # fmt: skip
    text = pick(rng, ways).format(name, thing, pick(rng, PLACES), there=there)
    absent = (
        colour,
        *BESIDE[colour],
        *(("white",) if "silver" in name else ()),
        *(("black",) if "navy" in name else ()),
    )
    if there in absent:
        return wrong_colour(rng)
    case = Case(text[0].upper() + text[1:], "short", Evidence(colours=shares(rng, (there,), absent)))
    return replace(case, text=f"{case.text} {NOUNS[noun][0].capitalize()}s pass." if rng.random() < 0.2 else case.text)


def wrong_count(rng: np.random.Generator) -> Case:
    noun = pick(rng, list(NOUNS))
    said = int(rng.integers(2, 9))
    seen = pick(rng, [str(n) for n in range(9) if n != said])
    one, many = NOUNS[noun]
    ways = [
        f"{NUMBERS[said]} {many} {{}} {{}}.", f"There are {NUMBERS[said]} {many} {{1}}, {{0}}.",
        f"{said} {many} {{}} {{}}.", f"A group of {NUMBERS[said]} {many} is {{}} {{}}.",
        f"exactly {NUMBERS[said]} {many}, {{}}",
        f"{NUMBERS[said]} brown {many} and a tree {{1}}", f"We count {NUMBERS[said]} young {many} {{1}}.",
        f"Side by side, {NUMBERS[said]} very small {many} are {{0}}.",
    ]  # fmt: skip
    if said == 2:
        ways += [f"A pair of {many} {{}} {{}}.", f"Both {many} are {{}}."]
    if int(seen) > 1:
        ways += [f"One {one} {{}} {{}}.", f"A lone {one} {{}}.", f"There are no {many} {{1}}."]
    if int(seen) < 2:
        ways += [f"Several {many} {{}} {{}}.", f"Many {many} {{}}."]
    text = pick(rng, ways).format(pick(rng, DOES[noun]), pick(rng, PLACES))
    return Case(text[0].upper() + text[1:], "short", Evidence(counts={noun: int(seen)}))


SAID = {
    **CAMERAS, "pan_left": (*CAMERAS["pan_left"], "With the camera panning to the left, more comes into view.",
    "The camera moves from right to left."),
    "pan_right": (*CAMERAS["pan_right"], "The camera sweeps rightwards.", "The shot pans right."),
    "static": (*CAMERAS["static"], "The camera is stationary.", "A locked-off shot.", "The camera does not move.",
    "There is no camera movement."),
    "zoom_in": (*CAMERAS["zoom_in"], "A slow zoom-in closes the clip.", "The camera moves closer to the face."),
    "zoom_out": (*CAMERAS["zoom_out"], "The camera zooms out slowly."),
    "tilt_up": (*CAMERAS["tilt_up"], "The camera slowly tilts upwards."), "tilt_down": (*CAMERAS["tilt_down"],
    "The camera tilts downwards."),
}  # fmt: skip
OPPOSITE = {
    "pan_left": "pan_right",
    "pan_right": "pan_left",
    "tilt_up": "tilt_down",
    "tilt_down": "tilt_up",
    "zoom_in": "zoom_out",
    "zoom_out": "zoom_in",
}


def wrong_camera(rng: np.random.Generator) -> Case:
    said = pick(rng, ["static", *OPPOSITE])
    seen = pick(rng, list(OPPOSITE)) if said == "static" else pick(rng, (OPPOSITE[said], "static"))
    sentence = pick(rng, SAID[said])
    text = pick(
        rng, (f"{pick(rng, SHORTS[:20]).rstrip('.')}. {sentence}", sentence, f"{sentence} {pick(rng, HARD[:5])}")
    )
    return Case(text, "dense", Evidence(camera=seen))
