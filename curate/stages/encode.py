"""Latent and text work: a clip's frames to a latent, a text to features; both as bf16 bytes with their fingerprints.

Legend: T frames, H height, W width, C colours or channels, L words, D features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np

from curate.captioning import box_of
from curate.codecs.bf16 import encode_bf16
from curate.errors import InputRejected
from curate.media.facts import Fit, Job
from curate.media.fitting import fitting
from curate.media.reader import Reader, reader_for
from curate.plan import Plan
from curate.spec import Latents
from curate.stage import Fault, fault_columns
from curate.stages import ClipWork

Row = dict[str, Any]
VERSION = 5  # part of the key of latents: raise it when sampling, scaling or cropping changes


class LatentWork(ClipWork):
    """Decodes a kept span and encodes it. Row: {"id": clip_id, "url", span and stream columns}."""

    stage = "latent"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.reader = reader_for(plan.spec)

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Encode one clip."""
        assert self.plan.stages.encode is not None
        row, spec, codec = rows[0], self.plan.stages.encode.latents, self.plan.codec
        fit = Fit(spec.short_side, self.plan.multiple, box_of(row))
        frames_THWC, crop = _frames(row, spec, fit, codec.time_factor, self.reader, alive)
        latent_CTHW = np.asarray(codec.encode_frames(frames_THWC, alive))
        if not np.isfinite(latent_CTHW).all():
            raise InputRejected("encode:not_finite", "the codec gave NaN or infinity")
        count, height, width = frames_THWC.shape[:3]
        rate = _rate(row, spec)
        yield (
            "latent",
            {
                "clip_id": row["id"],
                "latent": encode_bf16(latent_CTHW),
                "shape": list(latent_CTHW.shape),
                "dtype": "bfloat16",
                "codec": spec.codec,
                "codec_fingerprint": codec.fingerprint,
                "how": codec.how(count, height, width),
                "width": width,
                "height": height,
                "num_frames": count,
                "fps": rate,
                "covered": min(1.0, count / row["num_frames"] if not rate else count / rate / _seconds(row)),
                "crop": crop,
                **{name: row[name] for name in ("source_id", "stream_index", "start_pts", "end_pts", "time_base")},
            },
        )


def _seconds(row: Row) -> float:
    ticks = _ticks(row["time_base"])
    return (row["end_pts"] - row["start_pts"]) * ticks.numerator / ticks.denominator


@lru_cache(maxsize=1024)
def _ticks(time_base: str) -> Fraction:
    """Seconds of a tick: a plan asks it of every clip, and there are few."""
    return Fraction(time_base)


def _rate(row: Row, spec: Latents) -> float:
    """Frames per second of what is encoded; 0 for an image."""
    if row["kind"] == "image":
        return 0.0
    return float(min(spec.fps, row["fps"]) if spec.fps is not None else row["fps"])


def _frames(
    row: Row, spec: Latents, fit: Fit, time_factor: int, reader: Reader, alive: Callable[[], None]
) -> tuple[np.ndarray, list[int]]:
    """The frames to encode, (T, H, W, 3) uint8 with T = 1 + time_factor*k, and the crop in pixels of the shown source.

    At rate f the frame shown at each k/f after the clip's start is taken; at the source's own rate all of them.
    """
    step_s = 1.0 / spec.fps if spec.fps is not None and row["fps"] > spec.fps else None
    frames: list[np.ndarray] = []
    crop: list[int] = []
    # A grid point is taken when the next frame lies beyond it: what is shown at that moment is the frame before.
    last: np.ndarray | None = None
    seen, job = 0, _job(row, spec, fit, step_s)
    for seen, frame in enumerate(reader.frames(row["url"], job), 1):  # noqa: B007 see below
        alive()
        assert frame.fitted is not None
        if step_s is not None:
            while last is not None and len(frames) * step_s < frame.time_s - 1e-6 and len(frames) < spec.max_frames:
                frames.append(last)
        if frames and frame.fitted.shape != frames[0].shape:
            raise InputRejected("decode:size_change", "the picture size changes within the clip")
        last, crop = frame.fitted, frame.crop
        if step_s is None:
            frames.append(frame.fitted)
    whole = job.end_pts == row["end_pts"]  # a part that ends in one long frame may reach no further grid point
    if whole and len(frames) < spec.max_frames and seen != row["num_frames"]:  # it holds what the split counted
        raise InputRejected("decode:span", f"the span gave {seen} frames, its split counted {row['num_frames']}")
    if last is None:
        raise InputRejected("decode:no_frames", "the span holds no frame")
    length_s = _seconds(row)
    while step_s is not None and len(frames) < spec.max_frames and len(frames) * step_s < length_s - 1e-6:
        frames.append(last)
    return np.stack(frames[: lawful(min(len(frames), spec.max_frames), time_factor)]), crop


def lawful(count: int, time_factor: int) -> int:
    """The most frames that a codec takes of so many: 1 + time_factor * k."""
    return 1 + (count - 1) // time_factor * time_factor


def expected_size(
    row: Row, spec: Latents, multiple: int, time_factor: int, box: tuple[float, float, float, float]
) -> tuple[int, int, int]:
    """(frames, height, width) in which a clip will be encoded, before it is decoded; row: as in the ledger.

    Raises:
        InputRejected: what is left of the picture is smaller than one block.
    """
    fitted = _fitting(row["width"], row["height"], Fit(spec.short_side, multiple, box))
    count = row["num_frames"]
    if spec.fps is not None and row["fps"] > spec.fps:
        count = max(1, math.ceil((_seconds(row) - 1e-6) * spec.fps))
    return lawful(min(count, spec.max_frames), time_factor), fitted.out_height, fitted.out_width


_fitting = lru_cache(maxsize=65536)(fitting)


def _job(row: Row, spec: Latents, fit: Fit, step_s: float | None) -> Job:
    """The span, as far as its frames can be used."""
    end_pts, most = row["end_pts"], None
    if step_s is None:
        most = spec.max_frames
    else:  # the frame after the last grid point says that the point is passed
        reach = math.ceil((spec.max_frames + 1) * step_s / _ticks(row["time_base"]))
        end_pts = min(end_pts, row["start_pts"] + reach)
    return Job("full", row["start_pts"], end_pts, fit=fit, most=most)


class TextWork(ClipWork):
    """Encodes distinct texts. Row: {"id": text_id, "text", "stage": the encoder's table, one for all of a batch}."""

    batch_rows = 256
    passes_on = False

    def run(self, rows: list[Row], alive: Callable[[], None]) -> Iterator[tuple[str, Row]]:
        """Encode a batch of texts."""
        stage = rows[0]["stage"]
        spec, encoder = self.plan.text_stages[stage], self.plan.text_encoders[stage]
        for row, features_LD in zip(rows, encoder.encode([row["text"] for row in rows], alive), strict=True):
            alive()
            yield (
                stage,
                {
                    "text_id": row["id"],
                    "text": row["text"],
                    "features": encode_bf16(features_LD),
                    "shape": list(features_LD.shape),
                    "encoder": spec.encoder,
                    "encoder_fingerprint": encoder.fingerprint,
                },
            )

    def fault(self, row: Row, fault: Fault) -> Iterator[tuple[str, Row]]:
        """One quarantined row of the encoder that was asked."""
        yield row["stage"], {"text_id": row["id"], **fault_columns(fault.reason, fault.detail)}
