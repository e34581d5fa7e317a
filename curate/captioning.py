"""What a captioner is asked, and what it answers. An answer is joined to its question by `ref`, never by position.

Legend: T frames, H height, W width; uint8 RGB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from typing import Any, ClassVar, Protocol

import numpy as np

from curate.errors import InputRejected
from curate.proxies import rgb_of

KINDS = ("short", "dense")
BOX = ("borders.left", "borders.top", "borders.right", "borders.bottom")  # columns: the picture within its bars
WHOLE = (0.0, 0.0, 1.0, 1.0)
VERSION = 2  # of how clips are asked about, which answer is kept and what is recorded: part of the keys of captions
Alive = Callable[[], None]


def box_of(row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """The picture within the bars that `borders` found; the whole picture where it was not asked or has no answer."""
    edges = [row.get(edge) for edge in BOX]
    return WHOLE if None in edges else tuple(edges)  # type: ignore[return-value]


@dataclass(frozen=True)
class Pictures:
    """Sampled frames of a clip as they are stored: JPEG files and their times in seconds from the clip's start.

    box: left, top, right and bottom of the picture within its bars, as shares of the sides.
    """

    jpeg: tuple[bytes, ...]
    times_s: tuple[float, ...]
    box: tuple[float, float, float, float] = WHOLE

    @cached_property
    def digest(self) -> str:
        """sha256 over the files and the box, 32 hex digits: which frames a caption was made from."""
        digest = hashlib.sha256(repr(self.box).encode())
        for file in self.jpeg:
            digest.update(hashlib.sha256(file).digest())
        return digest.hexdigest()[:32]

    @cached_property
    def size(self) -> tuple[int, int]:
        """Width and height of the stored frames in pixels; (0, 0) where the first is no picture."""
        from PIL import Image, UnidentifiedImageError

        try:
            with Image.open(BytesIO(self.jpeg[0])) as picture:  # reads the header alone
                return picture.size
        except (UnidentifiedImageError, OSError):
            return (0, 0)

    def decoded(self) -> np.ndarray:
        """The frames within the bars, (T, H, W, 3). Raises InputRejected where one is no picture."""
        frames = []
        for file in self.jpeg:
            frame = rgb_of(file)
            if frame is None:
                raise InputRejected("caption:frame", "a stored frame is no JPEG; see: rushes verify")
            frames.append(frame)
        height, width = frames[0].shape[:2]
        left, top, right, bottom = self.box
        x, y = round(left * width), round(top * height)
        x_end, y_end = max(x + 1, round(right * width)), max(y + 1, round(bottom * height))
        return np.stack(frames)[:, y:y_end, x:x_end]

    def between(self, start_s: float, end_s: float, most: int) -> Pictures:
        """At most `most` of the frames of start_s <= time < end_s, evenly spread; the nearest one if there is none."""
        inside = [i for i, time in enumerate(self.times_s) if start_s <= time < end_s]
        if not inside:
            middle = (start_s + end_s) / 2
            inside = [min(range(len(self.times_s)), key=lambda i: abs(self.times_s[i] - middle))]
        count = min(most, len(inside))
        chosen = [inside[i] for i in np.linspace(0, len(inside) - 1, count).round().astype(int)]
        return Pictures(tuple(self.jpeg[i] for i in chosen), tuple(self.times_s[i] for i in chosen), self.box)


@dataclass(frozen=True)
class Prompt:
    """What a captioner is asked for one kind of caption.

    fields: what the answer must say beside the caption, as JSON; empty for an answer in plain text. again: the prompt
    that is tried when an answer was not accepted. tied: whether an answer must repeat its question's ref, because the
    captioner asks for it under a schema.
    """

    name: str
    kind: str
    text: str
    language: str = "en"
    version: int = 1
    fields: tuple[str, ...] = ()
    again: Prompt | None = None
    tied: bool = False

    @property
    def asked_language(self) -> str | None:
        """The language that a model was asked to write; None where nobody was asked."""
        return self.language if self.text else None

    @cached_property
    def sha256(self) -> str:
        """Of everything that it asks for, 16 hex digits."""
        said = [self.kind, self.text, self.language, self.version, self.fields]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Ask:
    """One question: a kind of caption of a clip, or of a window of it. `facts` are columns of the clip's row."""

    clip_id: str
    prompt: Prompt
    facts: Mapping[str, Any]
    text: str = ""  # the prompt with the facts filled in
    pictures: Pictures | None = None
    window_s: tuple[float, float] | None = None

    @cached_property
    def ref(self) -> str:
        """What the answer is joined on: a digest of the clip's id, its frames, the prompt and the window."""
        frames = self.pictures.digest if self.pictures else ""
        said = [self.clip_id, frames, self.prompt.sha256, self.text, self.window_s]
        return hashlib.sha256(repr(said).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Answer:
    """What came back. `fault`: why there is no text, as (reason, detail); `lost`: nobody could be reached, ask later.

    seconds and waited_s are this answer's share of the time that a model worked, and that it waited for frames.
    """

    ref: str
    text: str = ""
    truncated: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    requests: int = 0
    seconds: float = 0.0
    waited_s: float = 0.0
    fault: tuple[str, str] | None = None
    lost: str = ""


class Captioner(Protocol):
    """Answers asks, in any order. Subclass-free: a module of `captioner/` with a class of this shape.

    needs: columns that the spec must measure. uses: columns that are given where the spec measures them.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    needs: ClassVar[tuple[str, ...]]
    uses: ClassVar[tuple[str, ...]]
    reads_frames: ClassVar[bool]
    batch_rows: int  # clips that it is given at once
    prompts: Mapping[str, Prompt]  # by kind

    def identity(self) -> Mapping[str, Any]:
        """What its captions depend on beside its code and its prompts: weights, decoding, never scheduling."""
        ...

    def about(self, kind: str) -> tuple[str, str]:
        """Model and revision that write this kind."""
        ...

    def ready(self) -> None:
        """Raise SpecError where it cannot work; called by the driver before the first clip is asked about."""
        ...

    def describe(self, asks: Sequence[Ask], alive: Alive) -> Iterator[Answer]:
        """One answer for every ask, each with the ask's `ref`; `alive` is called while a long one is made."""
        ...


@dataclass(frozen=True)
class Asking:
    """How clips are asked about, whoever answers: it is part of what captions are."""

    kinds: tuple[str, ...] = KINDS
    again: int = 1
    window_s: float | None = None
    max_frames: int = 16
    facts: tuple[str, ...] = ()
