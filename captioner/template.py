"""The weight-free captioner: sentences made from measured columns, saying nothing that was not measured (DESIGN 8).

A column that is null or was not measured is not mentioned, so every caption is true as far as it goes. It names no
objects: it stands in until a model describes the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from curate.captioning import BOX, KINDS, Alive, Answer, Ask, Prompt

# Upper ends of each class and the words for it, from the lowest up. None: nothing worth saying.
# Motion in short sides per second: codec noise of a frozen shot stays below 0.002; a person who talks before a still
# camera has 0.01 to 0.03, walking and slow pans 0.03 to 0.12, sports and hand-held cameras more.
MOTION = ((0.002, "no visible motion"), (0.03, "little motion"), (0.12, "moderate motion"), (None, "strong motion"))
# Mean luma, 0..1: footage is exposed for about 0.4, and most of it lies between 0.25 and 0.6.
BRIGHTNESS = ((0.12, "very dark"), (0.25, "dark"), (0.6, None), (0.75, "bright"), (None, "very bright"))
# Share of edge contrast that a blur takes away: pictures in focus have 0.2 to 0.5.
SHARPNESS = ((0.12, "out of focus"), (0.2, "soft"), (0.38, None), (None, "sharp"))
# Pixels of the short side, by the names that the trade uses.
RESOLUTION = (
    (240, "very low resolution"),
    (480, "low resolution"),
    (720, "standard definition"),
    (1080, "high definition"),
    (2160, "full high definition"),
    (None, "ultra high definition"),
)
# A pan measured .158 in daylight scores .029 at a fifth of the light: below this mean luma nothing is said of motion.
DARKEST_MOTION = 0.15
# What the camera does, by the names of the score `camera`.
CAMERA = {
    "static": "is still", "pan_left": "pans left", "pan_right": "pans right", "tilt_up": "tilts up",
    "tilt_down": "tilts down", "zoom_in": "zooms in", "zoom_out": "zooms out", "roll_cw": "rolls clockwise",
    "roll_ccw": "rolls counter-clockwise", "shaky": "shakes", "mixed": "moves",
}  # fmt: skip
FEWEST_EDGES = 0.01  # share of pixels on an edge; below it the sharpness score is noise
SQUARE = 1.05  # sides within 5 % of each other
MOSTLY, SOME = 0.5, 0.08  # shares of the pixels from which a colour fills the picture, and is worth a word
MOST_COLOURS = 3
MOST_TEXTS = 3  # on-screen texts that are quoted ...
TEXT_LENGTHS = range(3, 81)  # ... and their characters: shorter ones say nothing, longer ones are whole pages


class Template:
    """Describes clips in a short and a dense caption; the same columns give the same words."""

    name: ClassVar[str] = "template"
    version: ClassVar[int] = 5
    reads_frames: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = (
        "duration_s",
        "width",
        "height",
        "num_frames",
        "motion.score",
        "motion.pairs",
        "exposure.brightness",
        "sharpness.score",
        "sharpness.edges",
        "gist.colours",
        "gist.shares",
    )
    uses: ClassVar[tuple[str, ...]] = ("camera.motion", "text_overlay.strings", *BOX)
    batch_rows: ClassVar[int] = 64
    prompts: ClassVar[Mapping[str, Prompt]] = {kind: Prompt("template", kind, "") for kind in KINDS}

    def identity(self) -> Mapping[str, Any]:
        """Its code is all that it is."""
        return {}

    def about(self, kind: str) -> tuple[str, str]:
        """Name and version."""
        return self.name, str(self.version)

    def ready(self) -> None:
        """It always is."""

    def describe(self, asks: Sequence[Ask], alive: Alive) -> Iterator[Answer]:
        """Answer from the facts of each ask, those of the columns in `needs` and `uses` that it has."""
        for ask in asks:
            yield Answer(ask.ref, self.texts(ask.facts)[ask.prompt.kind])

    def texts(self, clip: Mapping[str, Any]) -> dict[str, str]:
        """The caption of each kind."""
        still = clip["num_frames"] == 1
        width, height = _picture(clip)
        facts = {
            "orientation": _orientation(width, height),
            "resolution": _level(min(width, height), RESOLUTION),
            "motion": _level(clip.get("motion.score"), MOTION) if _motion_was_seen(clip) else None,
            "brightness": _level(clip.get("exposure.brightness"), BRIGHTNESS),
            "focus": _level(clip.get("sharpness.score"), SHARPNESS) if _edges_were_seen(clip) else None,
            "colours": _colours(clip.get("gist.colours"), clip.get("gist.shares")),
            "text": _texts(clip.get("text_overlay.strings")),
            "camera": CAMERA.get(clip.get("camera.motion") or "") if _motion_was_seen(clip) else None,
        }
        what = f"A {facts['orientation']} image" if still else f"A {facts['orientation']} video"
        length = "" if still else f" of {_seconds(clip['duration_s'])}"
        return {
            "short": _sentence(what + length, facts["colours"], facts["motion"] and f"with {facts['motion']}"),
            "dense": _dense(what + length, clip, facts),
        }


def _dense(what: str, clip: Mapping[str, Any], facts: Mapping[str, str | None]) -> str:
    """Some sentences: what it is, how the picture looks, how it moves, what can be read."""
    width, height = _picture(clip)
    sentences = [f"{what} in {facts['resolution']}, {width} by {height} pixels."]
    looks = [word for word in (facts["brightness"], facts["focus"]) if word]
    if looks or facts["colours"]:
        looks = [" and ".join(looks)] if looks else []
        sentences.append("The picture is " + ", ".join(looks + ([facts["colours"]] if facts["colours"] else [])) + ".")
    if facts["motion"]:
        sentences.append(f"There is {facts['motion']}.")
    if facts["camera"]:
        sentences.append(f"The camera {facts['camera']}.")
    if facts["text"]:
        sentences.append(f"On the screen one reads {facts['text']}.")
    return " ".join(sentences)


def _picture(clip: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height in pixels of the picture within its bars, where they were looked for."""
    left, top, right, bottom = (clip.get(edge) for edge in BOX)
    if left is None or top is None or right is None or bottom is None:
        return clip["width"], clip["height"]
    return round(clip["width"] * (right - left)), round(clip["height"] * (bottom - top))


def _texts(strings: Sequence[str] | None) -> str | None:
    """The on-screen texts that were read most often, quoted."""
    return _listed([f'"{text}"' for text in strings or () if len(text) in TEXT_LENGTHS][:MOST_TEXTS]) or None


def _motion_was_seen(clip: Mapping[str, Any]) -> bool:
    """Whether the motion score rests on something: pairs of frames, and light to see them by."""
    return (
        clip["num_frames"] > 1
        and bool(clip.get("motion.pairs"))
        and (clip.get("exposure.brightness") or 1.0) >= DARKEST_MOTION
    )


def _edges_were_seen(clip: Mapping[str, Any]) -> bool:
    """Whether the sharpness score rests on something: a plain wall is not out of focus."""
    return (clip.get("sharpness.edges") or 0.0) >= FEWEST_EDGES


def _sentence(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part) + "."


def _level(value: float | None, classes: Sequence[tuple[float | None, str | None]]) -> str | None:
    """The words of the first class that the value lies below; None if it was not measured or is unremarkable."""
    if value is None:
        return None
    return next(words for end, words in classes if end is None or value < end)


def _orientation(width: int, height: int) -> str:
    if max(width, height) <= SQUARE * min(width, height):
        return "square"
    return "landscape" if width > height else "portrait"


def _seconds(duration_s: float) -> str:
    """A duration to a tenth of a second: `1 second`, `2.5 seconds`."""
    text = f"{max(duration_s, 0.1):.1f}".removesuffix(".0")
    return f"{text} second" if text == "1" else f"{text} seconds"


def _colours(names: Sequence[str] | None, shares: Sequence[float] | None) -> str | None:
    """The colours that fill the picture, `mostly gray with some red`, or None if they were not measured."""
    if not names or not shares:
        return None
    pairs = list(zip(names, shares, strict=True))
    first, *rest = [name for name, share in pairs if share >= SOME][:MOST_COLOURS] or [pairs[0][0]]
    if pairs[0][1] >= MOSTLY:
        return f"mostly {first}" + (f" with some {_listed(rest)}" if rest else "")
    return _listed([first, *rest])


def _listed(words: Sequence[str]) -> str:
    """`red`, `red and blue`, `red, blue and gray`."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)
