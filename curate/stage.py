"""The protocols that an extension sees: `Frames`, `Score`, `Screen`, `Clip`, `Detector`, `Boundary`.

That of captioners is in curate/captioning.py.

Shape legend: T frames, H height, W width, C channels (1 for gray, 3 for rgb), all uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import pyarrow as pa

from curate.errors import InputRejected
from curate.media.frames import Frames as Frames

PROXY = Frames(fps=2.0, short_side=256, colour="rgb")  # the grid of the proxies
Direction = Literal["better", "worse", "neutral"]
Reduce = Literal["mean", "max", "min", "p95"]
Reads = Literal["frames", "proxies", "texts"]


@dataclass(frozen=True)
class Clip:
    """What a score may know about its clip besides the frames.

    width and height are the source's pixels, duration_s is in seconds, times_s (T,) are the presentation
    times of the sampled frames in seconds from the clip's start.
    """

    clip_id: str
    width: int
    height: int
    num_frames: int
    duration_s: float
    times_s: tuple[float, ...] = ()


def column(name: str, kind: pa.DataType, unit: str, meaning: str) -> pa.Field:
    """An Arrow field that carries its unit and meaning in its metadata."""
    return pa.field(name, kind, metadata={"unit": unit, "meaning": meaning})


class Score:
    """A measurement of one clip. Subclass it in one file of `filters/`, named as the score.

    `fields` lists the columns, the first one is what a rule in `keep:` reads. `measure` returns one value per
    field; a 1-D array with one value per frame is reduced by `reduce`.

    reads: `frames` are sampled while the source is decoded; `proxies` are the stored small frames, for a score that
    costs more than decoding: adding it to a spec later decodes nothing again, and `frames` must be `PROXY`.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    frames: ClassVar[Frames]
    fields: ClassVar[tuple[pa.Field, ...]]
    higher_is: ClassVar[Direction] = "neutral"
    reduce: ClassVar[Reduce] = "mean"
    reads: ClassVar[Reads] = "frames"

    def measure(self, frames_THWC: np.ndarray, clip: Clip) -> Mapping[str, Any]:
        """Measure a clip from its sampled frames, (T, H, W, C) uint8 with T >= 1."""
        raise NotImplementedError


class Screen(Score):
    """A measurement that the safety policy judges. Subclass it in one file of `filters/`, named as the screen.

    It speaks for the categories that it is made for: `measure` returns, beside its `evidence` columns, for each of
    them one value a frame, (T,) floats, the worst over the crops of that frame; higher is worse. The clip's value is
    the maximum over time: one unsafe moment is enough. What value is too much says the policy, never the screen. A
    clip without a verdict is never kept, whatever the reason.

    categories: those that it is asked about. speaks_for: those that it may be asked about; empty for any.
    per_category: its parameters belong to one category, so each category has an instance and a table of its own.
    evidence: further columns, beside the categories and what each frame gave.
    """

    higher_is: ClassVar[Direction] = "worse"
    reads: ClassVar[Reads] = "proxies"
    frames: ClassVar[Frames] = PROXY
    speaks_for: ClassVar[tuple[str, ...]] = ()
    per_category: ClassVar[bool] = False
    evidence: ClassVar[tuple[pa.Field, ...]] = ()

    def __init__(self, categories: Sequence[str]) -> None:
        """Speak for `categories`; ValueError for one that it knows nothing about."""
        for category in categories:
            if self.speaks_for and category not in self.speaks_for:
                raise ValueError(f"it says nothing about {category}, only about {', '.join(self.speaks_for)}")
        self.categories = tuple(categories)
        self.fields = (  # type: ignore[misc] what a screen measures depends on what it is asked about
            *(column(name, pa.float32(), "score", f"worst moment as to {name}") for name in categories),
            *self.evidence,
            *(
                column(by_frame(name), pa.list_(pa.float32()), "score", f"{name}, frame by frame")
                for name in categories
            ),
            column("times_s", pa.list_(pa.float64()), "s", "times of these frames from the clip's start"),
        )

    def identity(self) -> Mapping[str, Any]:
        """What its values depend on beside its code: parameters, sha256 of weights and of reference files."""
        return {}

    def covers(self, category: str) -> list[str]:
        """Names of what it can find, where that is a list: some, not all. Empty for what was learned."""
        return []

    def calibration(self) -> Mapping[str, Any] | None:
        """On which labelled set its threshold was set, with which bound on the missed share; None: nobody measured."""
        return None


def by_frame(category: str) -> str:
    """The column with a category's value of each frame."""
    return f"{category}_by_frame"


REDUCERS = {"mean": np.mean, "max": np.max, "min": np.min, "p95": lambda values: np.percentile(values, 95)}


def measure_row(score: Score, frames_THWC: np.ndarray, clip: Clip) -> dict[str, Any]:
    """Run a score on a clip and reduce what it gives per frame; keys are the score's field names.

    Raises:
        InputRejected: it gave no answer, or one that is none: a column is missing, not finite or of another type.
    """
    if not len(frames_THWC):
        raise InputRejected("score:no_frames", f"{score.name} was given no frame")
    values = score.measure(frames_THWC, clip)
    if not isinstance(values, Mapping) or not values:
        raise InputRejected("score:no_answer", f"{score.name} answered {values!r:.80}")
    if isinstance(score, Screen):
        values = {**values, **_moments(score, values, len(frames_THWC)), "times_s": list(clip.times_s)}
    return {spec.name: _value(score, spec, values) for spec in score.fields}


def _moments(screen: Screen, values: Mapping[str, Any], count: int) -> dict[str, Any]:
    """What each frame gave, for every category of a screen."""
    moments: dict[str, Any] = {}
    for category in screen.categories:
        if category not in values:
            raise InputRejected("score:missing_column", f"{screen.name} said nothing about {category}")
        try:
            levels_T = np.asarray(values[category], np.float32)
        except (TypeError, ValueError) as error:
            raise InputRejected("score:wrong_type", f"{screen.name}.{category}: {error}") from error
        if levels_T.shape != (count,):
            raise InputRejected("score:wrong_type", f"{screen.name}.{category} has {levels_T.shape} for {count} frames")
        if not np.isfinite(levels_T).all():
            raise InputRejected("score:not_finite", f"{screen.name}.{category} is NaN or infinite in a frame")
        moments[category], moments[by_frame(category)] = float(levels_T.max()), levels_T.tolist()
    return moments


def _value(score: Score, spec: pa.Field, values: Mapping[str, Any]) -> Any:
    """One column of a row, reduced and checked."""
    if spec.name not in values:
        raise InputRejected("score:missing_column", f"{score.name} gave no {spec.name}")
    value = values[spec.name]
    if isinstance(value, np.ndarray):
        value = REDUCERS[score.reduce](value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        raise InputRejected("score:not_finite", f"{score.name}.{spec.name} is {value}")
    try:
        pa.scalar(value, type=spec.type)  # a value of another type is this row's fault, not its part's
    except (pa.ArrowException, TypeError) as error:
        raise InputRejected("score:wrong_type", f"{score.name}.{spec.name}: {error}") from error
    return value


def scored(score: Score, frames_THWC: np.ndarray, clip: Clip) -> dict[str, Any]:
    """The columns of a score's row; whatever it raises becomes that row's fault and nobody else's."""
    try:
        return measure_row(score, frames_THWC, clip)
    except InputRejected as error:
        return fault_columns(error.reason, error.detail)
    except MemoryError:
        return fault_columns("limit:memory", f"{score.name} ran out of memory")
    except TimeoutError as error:
        return fault_columns("timeout", f"{score.name}: {error}")
    except Exception as error:  # noqa: BLE001 an extension may raise anything; it is recorded in its row
        return fault_columns("score:error", f"{score.name} raised {type(error).__name__}: {error}")


def fault_columns(reason: str, detail: str = "") -> dict[str, Any]:
    """The outcome columns of a row that has no result."""
    return {"outcome": "quarantined", "reason": reason, "detail": detail[:2000]}


@dataclass(frozen=True)
class Boundary:
    """Where one scene ends and the next begins, in frame numbers of the source.

    start: the first frame that is no longer only the old scene; end: the first frame that is only the new one. They are
    equal for a hard cut; frames start <= n < end of a gradual transition belong to neither scene.
    confidence: 0..1, how sure the detector is.
    """

    start: int
    end: int
    confidence: float = 1.0


class Detector(Protocol):
    """Finds scene boundaries while frames stream by. Parameters are those of `__init__`, checked there.

    frames: what it sees of every frame (`Frames.fps` 0), or None for a detector that looks at nothing. What it holds
    is bounded by seconds of footage, never by the length of the source.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    frames: ClassVar[Frames | None]

    def push(self, frames_THWC: np.ndarray, times_s: Sequence[float], index: int) -> list[Boundary]:
        """Take the next frames, the first of which is number `index`; return boundaries that are decided by now.

        Boundaries come in order, never before one that was returned already, and may lie in frames of earlier calls.
        Where batches begin and end never changes the result.
        """
        ...

    def finish(self) -> list[Boundary]:
        """Return the boundaries that only the end of the stream decides."""
        ...


@dataclass(frozen=True)
class Fault:
    """Why a row has no result: a reason code, a human sentence, and what is known of the death."""

    reason: str
    detail: str = ""
    attempts: int = 1


@dataclass(frozen=True)
class Left:
    """A row that a work left without a result, since somebody could not be reached: the next run has its turn."""

    id: str
    detail: str
