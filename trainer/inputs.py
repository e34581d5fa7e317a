"""From a request to a grid of latents: its size, its seed, and the latent frames that its inputs make known.

Legend: C channels, T frames, H, W.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from curate.codecs import LatentCodec
from curate.errors import InputRejected, SpecError
from trainer.config import SampleConfig, SampleRequest
from trainer.draws import generator
from trainer.normaliser import Normaliser

_SAME_TIME_S = 1e-4  # presentation times are rounded to the container's ticks
# (path, frames a second wanted or None for an image, most frames) -> frames_THWC, uint8 RGB
FrameReader = Callable[[Path, float | None, int], np.ndarray]


@dataclass(frozen=True)
class Job:
    """A request made definite. `clean_CTHW` is normalised and meaningful where `known_T`; noise is the start."""

    request: SampleRequest
    seed: int
    width: int
    height: int
    num_frames: int
    fps: float
    clean_CTHW: np.ndarray
    noise_CTHW: np.ndarray
    known_T: np.ndarray


def plan_job(
    request: SampleRequest, place: int, config: SampleConfig, run: dict[str, Any], codec: LatentCodec, read: FrameReader
) -> Job:
    """Make a request definite: sizes default to the config's, then to the commonest of the training data.

    A request without a seed gets the config's seed plus its place, so that equal prompts give different clips.
    Raises SpecError on a size that the codec and the patches do not fill, InputRejected on unreadable inputs.
    """
    size = run["default_size"]
    width = request.width or config.width or size["width"]
    height = request.height or config.height or size["height"]
    fps = size["fps"] or 1.0
    num_frames = _num_frames(request, config, size["num_frames"], fps, codec.time_factor)
    patch_time, patch_height, patch_width = run["patch"]
    latent_frames = 1 + (num_frames - 1) // codec.time_factor
    for name, value, patch in (("width", width, patch_width), ("height", height, patch_height)):
        unit = codec.space_factor * patch
        if value % unit:
            raise SpecError(f"sample {place}: {name} {value} is not a multiple of {unit} pixels")
    if latent_frames % patch_time:
        raise SpecError(f"sample {place}: {latent_frames} latent frames are not a multiple of {patch_time}")
    shape = (codec.channels, latent_frames, height // codec.space_factor, width // codec.space_factor)
    seed = config.seed + place if request.seed is None else request.seed
    noise = generator(seed, "sample", *shape).standard_normal(shape, dtype=np.float32)
    clean, known = np.zeros(shape, np.float32), np.zeros(latent_frames, dtype=bool)
    if request.task == "i2v" and latent_frames < 2:
        raise SpecError(f"sample {place}: i2v of {num_frames} frames leaves nothing to make: ask for more frames")
    given = _given_frames(request, num_frames, codec.time_factor)
    if given:
        pixels_CTHW = _pixels(request, given, fps, width, height, read)
        latent = Normaliser.from_run(run).forward(codec.encode(pixels_CTHW[None])[0])
        clean[:, : latent.shape[1]], known[: latent.shape[1]] = latent, True
    return Job(request, seed, width, height, num_frames, fps, clean, noise, known)


def _num_frames(request: SampleRequest, config: SampleConfig, usual: int, fps: float, factor: int) -> int:
    """Return the nearest count of 1 + k * factor frames to what is asked for."""
    if request.task == "image":
        return 1
    seconds = request.seconds or (None if request.frames else config.seconds)
    wanted = request.frames or (round(seconds * fps) if seconds else usual)
    return 1 + factor * max(0, round((wanted - 1) / factor))


def _given_frames(request: SampleRequest, num_frames: int, factor: int) -> int:
    """Return how many pixel frames the inputs make known: 0, 1, or 1 + k * factor, and fewer than all."""
    if request.task == "i2v":
        return 1
    if request.task != "extend":
        return 0
    given = request.given_frames or 1 + factor
    if given % factor != 1 or given >= num_frames:
        raise SpecError(f"extend: given_frames is {given}, must be 1 + {factor}k and below the clip's {num_frames}")
    return given


def _pixels(request: SampleRequest, given: int, fps: float, width: int, height: int, read: FrameReader) -> np.ndarray:
    """Read the inputs as pixels_CTHW in [-1, 1]: scaled to cover the wanted size, cut about the centre."""
    path = Path(request.image or request.video or "")
    frames_THWC = read(path, None if request.image else fps, given)
    if len(frames_THWC) < given:
        raise InputRejected("sample:input", f"{path} has {len(frames_THWC)} frames, {given} are needed")
    covered = np.stack([cover(frame, width, height) for frame in frames_THWC[:given]])
    return covered.astype(np.float32).transpose(3, 0, 1, 2) / 127.5 - 1.0


def cover(frame_HWC: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale a frame until it covers width x height, by area, and cut the middle out."""
    import cv2

    rows, columns = frame_HWC.shape[:2]
    scale = max(width / columns, height / rows)
    size = (max(width, round(columns * scale)), max(height, round(rows * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = frame_HWC if size == (columns, rows) else cv2.resize(frame_HWC, size, interpolation=method)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return scaled[top : top + height, left : left + width]


def opencv_frames(path: Path, fps: float | None, count: int) -> np.ndarray:
    """Read an image (fps None), or the first `count` frames of a video on the grid k / fps, as uint8 RGB.

    The default reader for inputs that the caller vouches for. Raises InputRejected on unreadable files.
    """
    import cv2

    if fps is None:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise InputRejected("sample:input", f"{path} is no readable image")
        return np.ascontiguousarray(image[None, :, :, ::-1])
    capture = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    shown: np.ndarray | None = None
    begins_s = lasts_s = 0.0
    try:
        while len(frames) < count:
            ok, image = capture.read()
            if not ok:
                break
            begins_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            # The frame on show at each grid time: the last one that began at or before it.
            while shown is not None and len(frames) < count and len(frames) / fps < begins_s - _SAME_TIME_S:
                frames.append(shown)
            shown = image[:, :, ::-1]
        lasts_s = begins_s + 1.0 / (capture.get(cv2.CAP_PROP_FPS) or fps)
    finally:
        capture.release()
    if shown is None:
        raise InputRejected("sample:input", f"{path} is no readable video")
    while len(frames) < count and len(frames) / fps < lasts_s - _SAME_TIME_S:
        frames.append(shown)
    return np.stack(frames)
