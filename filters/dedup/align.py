"""Two clips frame by frame: which frames match, in order of time, and whether the pictures agree in light and colour.

A clip's frames are hashes (n, 4) uint64 and small pictures (n, 384) uint8; distances are bits of 256.
"""

from __future__ import annotations

import cv2
import numpy as np

from filters.dedup.phash import CHROMA_SIDE, LUMA_SIDE

# Bits by which the reversed order must fit better before a pair is taken for a clip played backwards: in a slow shot
# both orders fit, and neither is preferred by more than coding noise.
BACKWARDS = 3.0
FRAMES_COMPARED = 6  # pairs of small pictures that are looked at, spread evenly over the match

# Pearson correlation of luma over all cells. A caption bar or logo leaves 0.7 and more, another scene below 0.5.
LEAST_LUMA = 0.6
# The same of chroma, where both clips have colour: a logo on a pale scene leaves 0.4, a turned hue less than 0. In
# plain pictures one thing has all the colour: red against magenta, the closest of six plain colours, comes to 0.6.
LEAST_CHROMA, LEAST_CHROMA_PLAIN = 0.3, 0.65
# Levels by which the middle of luma, and of each chroma plane, may differ between plain pictures: a re-encode moves
# them by 2, and another backdrop is another clip.
BACKDROP_LUMA, BACKDROP_CHROMA = 20.0, 7.0
COLOURLESS = 2.0  # deviation of chroma over the cells, in levels, below which there is no colour to compare
# A tinted clip (sepia) has chroma in proportion to luma, at most this much of it; plain colours have 0.5 and more.
MOST_TINT = 0.25
# Contrast of luma between a plain colour clip and its gray or tinted copy: conversions keep it (sepia: x 1.2), while a
# white disc in place of a yellow one has 1.2 to 1.35 times as much. Pictures with more in them need no such test.
GRAY_GAIN, TINT_GAIN = 1.13, 1.45


def match_in_order(near: np.ndarray) -> list[tuple[int, int]]:
    """Longest common subsequence: the most pairs (i, j) with near[i, j] true, both rising. near is (n, m) bool.

    Frames may be skipped on either side, so other frame rates, speeds and cuts at the ends still match.
    """
    rows, columns = near.shape
    best = np.zeros((rows + 1, columns + 1), np.int32)
    for i in range(rows):
        np.maximum(best[i, 1:], best[i, :-1] + near[i], out=best[i + 1, 1:])
        np.maximum.accumulate(best[i + 1], out=best[i + 1])
    pairs: list[tuple[int, int]] = []
    i, j = rows, columns
    while i and j and best[i, j]:
        if near[i - 1, j - 1] and best[i, j] == best[i - 1, j - 1] + 1:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif best[i - 1, j] == best[i, j]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def is_backwards(distance: np.ndarray, near: np.ndarray, pairs: list[tuple[int, int]]) -> bool:
    """Whether the second clip fits better played backwards; distance is (n, m) bits, near its matches."""
    turned = match_in_order(near[:, ::-1])
    if len(turned) < len(pairs):
        return False
    forwards = np.mean([distance[i, j] for i, j in pairs])
    backwards = np.mean([distance[:, ::-1][i, j] for i, j in turned])
    return bool(backwards + BACKWARDS < forwards)


def same_look(one: np.ndarray, two: np.ndarray, crop: float, mirrored: bool, plain: bool) -> bool:
    """Whether matched small pictures (k, 384) agree; those of `one` are cropped to the centre and mirrored first.

    Tone, contrast, captions and logos may differ, and a copy may be gray or sepia; other colours are other clips.
    `plain` says that few cells carry the difference between such pictures: they are held to more.
    """
    luma_one, chroma_one = _planes(one, crop, mirrored)
    luma_two, chroma_two = _planes(two, 1.0, False)
    if _correlation(luma_one, luma_two) < LEAST_LUMA or (plain and not _same_backdrop(one, two)):
        return False
    tints = [_tint(luma_one, chroma_one), _tint(luma_two, chroma_two)]
    if all(tint is None for tint in tints):
        return _correlation(chroma_one, chroma_two) >= (LEAST_CHROMA_PLAIN if plain else LEAST_CHROMA)
    if not plain or all(tint is not None for tint in tints):
        return True
    gray = next(tint for tint in tints if tint is not None)
    gain = luma_two.std() / max(float(luma_one.std()), 1e-6)
    return max(gain, 1.0 / max(gain, 1e-6)) <= (GRAY_GAIN if gray == 0.0 else TINT_GAIN)


def _planes(thumbs: np.ndarray, crop: float, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    """Luma (k, 16, 16) and chroma (k, 2, 8, 8) float32 of small pictures, cropped and mirrored, chroma 0 for gray."""
    count = len(thumbs)
    luma = thumbs[:, : LUMA_SIDE**2].reshape(count, LUMA_SIDE, LUMA_SIDE).astype(np.float32)
    chroma = thumbs[:, LUMA_SIDE**2 :].reshape(count * 2, CHROMA_SIDE, CHROMA_SIDE).astype(np.float32) - 128.0
    if mirrored:
        luma, chroma = luma[..., ::-1], chroma[..., ::-1]
    luma, chroma = (np.stack([_centre(plane, crop) for plane in planes]) for planes in (luma, chroma))
    return luma, chroma.reshape(count, 2, CHROMA_SIDE, CHROMA_SIDE)


def _centre(plane: np.ndarray, crop: float) -> np.ndarray:
    """The centre of a square picture, enlarged to its size. Cell centres lie half a cell in."""
    if crop == 1.0:
        return plane
    side = len(plane)
    shift = (0.5 - side / 2) * crop + side / 2 - 0.5
    matrix = np.array([[crop, 0.0, shift], [0.0, crop, shift]], np.float32)
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(np.ascontiguousarray(plane), matrix, (side, side), flags=how, borderMode=cv2.BORDER_REPLICATE)


def _same_backdrop(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether the middle luma and chroma of plain small pictures (k, 384) agree."""
    cells, half = LUMA_SIDE**2, CHROMA_SIDE**2
    for start, end, limit in ((0, cells, BACKDROP_LUMA), (cells, cells + half, BACKDROP_CHROMA),
                              (cells + half, cells + 2 * half, BACKDROP_CHROMA)):  # fmt: skip
        if abs(float(np.median(one[:, start:end])) - float(np.median(two[:, start:end]))) > limit:
            return False
    return True


def _correlation(one: np.ndarray, two: np.ndarray) -> float:
    """Pearson correlation; chroma planes (k, 2, ...) are centred one by one, as white balance shifts them."""
    axes = tuple(axis for axis in range(one.ndim) if axis != 1) if one.ndim == 4 else None
    one, two = one - one.mean(axis=axes, keepdims=True), two - two.mean(axis=axes, keepdims=True)
    scale = float(np.sqrt((one * one).sum() * (two * two).sum()))
    return float((one * two).sum()) / scale if scale else 0.0


def _tint(luma: np.ndarray, chroma: np.ndarray) -> float | None:
    """Chroma per luma of a clip without colours of its own (0 if it is gray), or None if it has colours."""
    centred = chroma - chroma.mean(axis=(0, 2, 3), keepdims=True)
    if centred.std() < COLOURLESS:
        return 0.0
    cells = luma.reshape(len(luma), CHROMA_SIDE, 2, CHROMA_SIDE, 2).mean(axis=(2, 4))
    cells -= cells.mean()
    slope = (centred * cells[:, None]).sum(axis=(0, 2, 3)) / max(float((cells * cells).sum()), 1e-6)
    rest = centred - slope[None, :, None, None] * cells[:, None]
    tint = float(np.hypot(*slope))
    return tint if tint <= MOST_TINT and rest.std() < COLOURLESS else None
