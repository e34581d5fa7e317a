"""Planned files as real ones: H.264 mp4 and PNG, copies and damage included."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from curate.media.writer import write_image, write_mp4
from worlds.shapes.draw import render
from worlds.shapes.plan import PlannedFile
from worlds.shapes.symbols import draw

CRF = 18  # visually lossless: what a model learns from
COARSE_CRF = 32  # a re-upload: visibly softer, plainly the same
# Standard deviation of the blur as a share of the short side: the outline stays readable, the edges are gone.
FOCUS = 0.05
CROP = 0.04  # share cut off each side of a cropped copy
SCALE = 2 / 3  # size of a scaled copy
MARK = 0.6  # side of a stand-in as a share of the short side
KEPT_BYTES = 0.6  # of a damaged file: its index lies at the end, so nothing can be decoded


def write_file(folder: Path, file: PlannedFile) -> None:
    """Write one planned file below `folder`; the file that it copies must be there already."""
    target = folder / file.path
    if file.kind == "image":
        write_image(target, paint(file)[0])
    elif file.kind == "exact":
        shutil.copyfile(folder / f"media/{file.copy_of:06d}.mp4", target)
    elif file.kind == "near":
        frames_THWC, crf = _changed(paint(file), file.change)
        write_mp4(target, frames_THWC, file.shots[0].fps, crf=crf)
    else:
        write_mp4(target, paint(file), file.shots[0].fps, crf=CRF)
    if file.kind == "damaged":
        data = target.read_bytes()
        target.write_bytes(data[: int(len(data) * KEPT_BYTES)])


def paint(file: PlannedFile) -> np.ndarray:
    """All frames of a file before its copies are changed, (T, H, W, 3) uint8 RGB."""
    takes = []
    for number, shot in enumerate(file.shots):
        take_THWC = render(shot)
        if number in file.blurred:
            sigma = FOCUS * min(shot.width, shot.height)
            take_THWC = np.stack([cv2.GaussianBlur(frame, (0, 0), sigma) for frame in take_THWC])
        if number in file.marked:
            size = round(MARK * min(shot.width, shot.height))
            top, left = ((0, 0), (shot.height - size, shot.width - size))[number % 2]
            take_THWC[:, top : top + size, left : left + size] = draw(file.marked[number], size)
        takes.append(take_THWC)
    frames_THWC = np.concatenate(takes)
    return np.pad(frames_THWC, ((0, 0), (file.bar, file.bar), (0, 0), (0, 0)))


def _changed(frames_THWC: np.ndarray, change: str) -> tuple[np.ndarray, int]:
    """A near duplicate's frames and the quality at which they are encoded."""
    height, width = frames_THWC.shape[1:3]
    if change == "reencode":
        return frames_THWC, COARSE_CRF
    if change == "crop":
        dy, dx = round(height * CROP), round(width * CROP)
        # An even number of lines goes in all, so an even size stays even.
        return frames_THWC[:, dy : height - dy, dx : width - dx], CRF
    if change == "scale":
        size = tuple(max(2, round(side * SCALE / 2) * 2) for side in (width, height))
        return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in frames_THWC]), CRF
    raise ValueError(f"unknown change {change!r}")
