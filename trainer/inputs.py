"""From a request to a grid of latents: its size, its seed, and what its inputs make known.

Legend: C channels, T frames, H, W; h, w a frame's tokens.
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
    """A request made definite. `clean_CTHW` is normalised and meaningful where known; noise is the start.

    `known_T` is bool (T,), or (T, h, w) for inpaint.
    """

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
    if request.task == "i2v" and latent_frames < 2:
        raise SpecError(f"sample {place}: i2v of {num_frames} frames leaves nothing to make: ask for more frames")
    if request.task in ("first_last", "loop") and latent_frames < 3:
        raise SpecError(f"sample {place}: {request.task} of {num_frames} frames leaves nothing between the two: "
                        "ask for more frames")  # fmt: skip
    given = Inputs(request, num_frames, fps, width, height, (patch_height, patch_width), run, codec, read)
    clean, known = given.condition(shape)
    return Job(request, seed, width, height, num_frames, fps, clean, noise, known)


def _num_frames(request: SampleRequest, config: SampleConfig, usual: int, fps: float, factor: int) -> int:
    """Return the nearest count of 1 + k * factor frames to what is asked for."""
    if request.still:
        return 1
    seconds = request.seconds or (None if request.frames else config.seconds)
    wanted = request.frames or (round(seconds * fps) if seconds else usual)
    return 1 + factor * max(0, round((wanted - 1) / factor))


@dataclass(frozen=True)
class Inputs:
    """What a definite request is given: its files as latents, and where they stand in the clip."""

    request: SampleRequest
    num_frames: int
    fps: float
    width: int
    height: int
    patch_hw: tuple[int, int]
    run: dict[str, Any]
    codec: LatentCodec
    read: FrameReader

    def condition(self, shape_CTHW: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Return the normalised latent, and what of it is known: bool (T,), or (T, h, w) for inpaint.

        Raises SpecError on numbers of frames that the codec's blocks do not fill, InputRejected on unreadable files.
        """
        task, factor = self.request.task, self.codec.time_factor
        clean, known = np.zeros(shape_CTHW, np.float32), np.zeros(shape_CTHW[1], dtype=bool)
        begin = self.request.image or self.request.video
        if task in ("i2v", "first_last", "loop"):
            clean[:, :1], known[0] = self.latent(self.pixels(begin, 1)), True
        if task in ("first_last", "loop"):
            last = self.pixels(begin if task == "loop" else self.request.last_image, 1)
            clean[:, -1:], known[-1] = self.latent(last, still=2 * factor)[:, -1:], True
        elif task == "extend":
            given, latents = self.given_to_extend()
            pixels = self.pixels(begin, given)
            if self.request.direction == "backward":
                clean[:, -latents:], known[-latents:] = self.latent(pixels, still=1 + factor)[:, -latents:], True
            else:
                clean[:, :latents], known[:latents] = self.latent(pixels), True
        elif task == "infill":
            first, last = self.given_to_infill()
            clean[:] = self.latent(self.pixels(begin, self.num_frames))
            known[:first], known[-last:] = True, True
        elif task == "inpaint":
            clean[:] = self.latent(self.pixels(begin, self.num_frames))
            known = np.broadcast_to(~self.painted(), (shape_CTHW[1], *self.painted().shape)).copy()
        return clean, known

    def latent(self, pixels_CTHW: np.ndarray, still: int = 0) -> np.ndarray:
        """Encode and normalise pixels, after `still` frames in which the first one stands.

        A codec's first latent frame is one pixel frame, and every later one `time_factor`. What ends a clip must be
        encoded as a later one; what stood before it is not given, so a still is taken.
        """
        lead = np.repeat(pixels_CTHW[:, :1], still, axis=1)
        encoded = self.codec.encode(np.concatenate([lead, pixels_CTHW], axis=1)[None])[0]
        return Normaliser.from_run(self.run).forward(encoded)

    def given_to_extend(self) -> tuple[int, int]:
        """Return the pixel and the latent frames that extend is given; fewer than all."""
        factor, given = self.codec.time_factor, self.request.given_frames
        if self.request.direction == "backward":
            given = given or factor
            if given % factor or given >= self.num_frames:
                wanted = f"must be {factor}k and below the clip's {self.num_frames}"
                raise SpecError(f"extend backward: given_frames is {given}, {wanted}")
            return given, given // factor
        given = given or 1 + factor
        if given % factor != 1 % factor or given >= self.num_frames:
            raise SpecError(
                f"extend: given_frames is {given}, must be 1 + {factor}k and below the clip's {self.num_frames}"
            )
        return given, 1 + (given - 1) // factor

    def given_to_infill(self) -> tuple[int, int]:
        """Return the latent frames at the start and at the end that infill keeps."""
        factor = self.codec.time_factor
        first, last = self.request.given_frames or 1, self.request.given_last or factor
        if first % factor != 1 % factor or last % factor or first + last >= self.num_frames:
            raise SpecError(
                f"infill: given_frames is {first} and given_last {last}: they must be 1 + {factor}k and {factor}k, and "
                f"together below the clip's {self.num_frames}"
            )
        return 1 + (first - 1) // factor, last // factor

    def painted(self) -> np.ndarray:
        """Return the tokens in which the mask has any white: bool (h, w). Raises SpecError for none or all."""
        mask_HWC = cover(self.read(Path(self.request.mask or ""), None, 1)[0], self.width, self.height)
        rows, columns = (self.codec.space_factor * patch for patch in self.patch_hw)
        white = mask_HWC.mean(axis=2) > 127.5
        tokens = white.reshape(self.height // rows, rows, self.width // columns, columns).any(axis=(1, 3))
        if tokens.all() or not tokens.any():
            raise SpecError(f"inpaint: {self.request.mask} is white in {'all' if tokens.all() else 'none'} of the clip")
        return tokens

    def pixels(self, path: str | None, count: int) -> np.ndarray:
        """Read the first `count` frames as pixels_CTHW in [-1, 1]: scaled to cover the size, cut about the centre."""
        is_video = path is not None and path == self.request.video
        frames_THWC = self.read(Path(path or ""), self.fps if is_video else None, count)
        if len(frames_THWC) < count:
            raise InputRejected("sample:input", f"{path} has {len(frames_THWC)} frames, {count} are needed")
        covered = np.stack([cover(frame, self.width, self.height) for frame in frames_THWC[:count]])
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
