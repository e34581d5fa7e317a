"""Pictures and takes that the tests of scores share, made from noise: (H, W, 3) and (T, H, W, 3) uint8."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from curate.media.writer import write_mp4
from curate.stage import Clip, Frames, Score, measure_row


def texture(seed: int = 0, height: int = 180, width: int = 320) -> np.ndarray:
    """A colourful picture with structure at every scale, as photographs have: about 1/f, levels 0..255."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    cells = 2
    while cells == 2 or cells < min(height, width):
        noise = rng.standard_normal((cells, 2 * cells, 3)).astype(np.float32) / np.sqrt(cells)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        cells *= 2
    total = (total - total.mean()) / total.std()
    return np.clip(128 + 50 * total, 0, 255).astype(np.uint8)


def shifted(picture: np.ndarray, speed: float, frames: int, fps: float, angle: float = 0.0) -> np.ndarray:
    """A camera that moves over a picture, wrapping round: speed in short sides a second."""
    step = speed * min(picture.shape[:2]) / fps
    takes = []
    for t in range(frames):
        matrix = np.array([[1, 0, step * t * np.cos(angle)], [0, 1, step * t * np.sin(angle)]], np.float32)
        size = picture.shape[1::-1]
        takes.append(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))
    return np.stack(takes)


def disc(background: tuple[int, int, int], colour: tuple[int, int, int], at: tuple[float, float]) -> np.ndarray:
    """A disc on a plain background, (96, 96, 3)."""
    frame = np.full((96, 96, 3), background, np.uint8)
    centre = (round(at[0] * 16), round(at[1] * 16))
    cv2.circle(frame, centre, 16 * 14, colour, -1, cv2.LINE_AA, 4)
    return frame


def scaled(frames: np.ndarray, request: Frames) -> np.ndarray:
    """Frames at the size that a score asks for."""
    scale = min(1.0, request.short_side / min(frames.shape[1:3]))
    size = [round(side * scale) for side in frames.shape[2:0:-1]]
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def row(score: Score, frames: np.ndarray, fps: float | None = None) -> dict[str, object]:
    """What a score says of frames that lie on its grid already (or at `fps`)."""
    times = tuple(np.arange(len(frames)) / (fps or score.frames.fps))
    clip = Clip("c", frames.shape[2], frames.shape[1], len(frames), times[-1], times)
    return measure_row(score, scaled(frames, score.frames), clip)


def coded(frames: np.ndarray, fps: float, crf: int, folder: Path) -> np.ndarray:
    """Frames through a real H.264 file."""
    import av

    path = folder / f"coded-{crf}.mp4"
    write_mp4(path, frames, fps, crf=crf)
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
