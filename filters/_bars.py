"""Where bars end: the box of the picture within letterbox and pillarbox bars, and within plain mats of any colour.

Luma (T, H, W) uint8. A black bar is black in every frame, so one dark frame makes none, and in some frame the picture
steps from it all along its edge, so neither a dark scene nor a thing that passes through one has bars. A mat of another
level stands at two opposite sides, is the same there and in every frame: a sky above a horizon is no mat. A frame
with a pattern stands still at two opposite sides, as wide at both, and along its straight edges the picture changes.
"""

from __future__ import annotations

import numpy as np

BLACK = 24  # grey levels a bar may reach (black after lossy coding, or raised to limited-range 16)
UNEVEN = 8.0  # grey levels between a line's low and high percentile: codec noise; a dark scene varies more
DRIFT = 4.0  # grey levels between the middle of a line and of the outermost one: a bar has one level
STEP = 5  # grey levels from bar to picture, two lines apart (a scaler smears the edge over one line)
ALONG = 0.6  # share of the edge that must show the step: a bar is straight, the outline of a thing is not ...
ALONG_PAIRED = 0.2  # ... where a bar stands at the opposite side already,
UNSURE, MARKED = 2, 20  # percent of a line that noise makes uneven, and that a logo on a bar may cover
PAIRED, UNLIKE = 2, 0.15  # whose length is this one's within two lines and this share
CHANGED = 16  # grey levels over the clip that a picture changes by, and its frame does not
WIDEST = 0.3  # share of the picture that a patterned frame takes at one side at most: a train before a wall leaves more
REACH = 2  # lines to either side of the step over which scalers and codecs smear it

Box = tuple[int, int, int, int]

_last: list[tuple[np.ndarray, Box, tuple[float, float, float, float]]] = []


def content_box(luma_THW: np.ndarray) -> Box:
    """Return (top, bottom, left, right) in pixels, ends exclusive; the whole picture if there are no bars."""
    return _boxes(luma_THW)[0]


def exact_box(luma_THW: np.ndarray) -> tuple[float, float, float, float]:
    """The same to a fraction of a pixel, from how the levels of the lines at the edge are mixed."""
    return _boxes(luma_THW)[1]


def _boxes(luma_THW: np.ndarray) -> tuple[Box, tuple[float, float, float, float]]:
    if not _last or _last[0][0] is not luma_THW:
        _last[:] = [(luma_THW, *_found(luma_THW))]
    return _last[0][1:]


def _found(luma_THW: np.ndarray) -> tuple[Box, tuple[float, float, float, float]]:
    height, width = luma_THW.shape[1:]
    top, bottom, left, right = 0, height, 0, width
    for _ in range(2):  # bars at the sides shorten the edges of those above and below, and the reverse: look again
        before = (top, bottom, left, right)
        top, bottom = _picture(luma_THW[:, :, left:right])
        left, right = _picture(luma_THW[:, top:bottom].transpose(0, 2, 1))
        if (top, bottom, left, right) == before:
            break
    inside_rows = luma_THW[:, :, left:right]
    inside_columns = luma_THW[:, top:bottom].transpose(0, 2, 1)
    exact = (
        _exact(inside_rows, top), height - _exact(inside_rows[:, ::-1], height - bottom),
        _exact(inside_columns, left), width - _exact(inside_columns[:, ::-1], width - right),
    )  # fmt: skip
    return (top, bottom, left, right), exact


def _picture(lines_TLN: np.ndarray) -> tuple[int, int]:
    """First and last (exclusive) of the L lines between bars at either end."""
    count = lines_TLN.shape[1]
    flipped = lines_TLN[:, ::-1]
    first, last = _bar(lines_TLN, BLACK), _bar(flipped, BLACK)
    if bool(first) != bool(last):
        first, last = first or _partner(lines_TLN, last), last or _partner(flipped, first)
    start, end = first, count - last
    if (start, end) == (0, count):
        mats = _bar(lines_TLN, 255), _bar(flipped, 255)
        levels = (
            [float(np.median(lines[:, : max(mats)])) for lines in (lines_TLN, flipped)] if all(mats) else [0.0, 99.0]
        )
        if abs(levels[0] - levels[1]) <= DRIFT:
            start, end = mats[0], count - mats[1]
    if (start, end) == (0, count) and len(lines_TLN) > 1:
        frame = _frozen(lines_TLN), _frozen(flipped)
        if all(frame) and abs(frame[0] - frame[1]) <= PAIRED + max(frame) * UNLIKE:
            start, end = frame[0], count - frame[1]
    return (start, end) if start < end else (0, count)


def _frozen(lines_TLN: np.ndarray) -> int:
    """Lines of a patterned frame: nothing changes in them over the clip, and all along its edge much does."""
    change_LN = lines_TLN.max(axis=0) - lines_TLN.min(axis=0)
    still = np.percentile(change_LN, 98, axis=1) <= UNEVEN
    length = int(still.argmin())  # the first line in which something changes; 0 too if there is none
    if not 0 < length <= WIDEST * len(still) or np.ptp(lines_TLN[0, :length]) <= UNEVEN:
        return 0
    for place in range(length, min(length + REACH, len(still) - 1)):
        if (change_LN[place + 1] > CHANGED).mean() >= ALONG:
            return place
    return 0


def _bar(lines_TLN: np.ndarray, most: int) -> int:
    """Lines of the bar that begins with the first one: even, of one level, and ending in a straight step.

    A bar is at most `most` bright; a black one may be darker in some frames, any other is the same in all.
    """
    length = _even(lines_TLN, most)
    # Behind an even line may come smeared ones, which are even no more and not yet picture.
    places = range(length, min(length + REACH + 1, lines_TLN.shape[1]) if length else length)
    return next((place for place in places if _step(lines_TLN, place) >= ALONG), 0)


def _partner(lines_TLN: np.ndarray, opposite: int) -> int:
    """Lines of a black bar whose partner at the opposite side has so many: they come in pairs of about one length.

    So less of its edge needs to stand out; or a logo may lie on it, if most of its edge does.
    """
    apart = PAIRED + round(opposite * UNLIKE)
    for spared, along in ((UNSURE, ALONG_PAIRED), (MARKED, ALONG)):
        length = _even(lines_TLN, BLACK, spared)
        places = range(max(1, opposite - apart), min(length + REACH, opposite + apart, lines_TLN.shape[1] - 1) + 1)
        best = max(places, key=lambda place: _step(lines_TLN, place), default=0) if length else 0
        if best and _step(lines_TLN, best) >= along:
            return best
    return 0


def _step(lines_TLN: np.ndarray, length: int) -> float:
    """Share of the edge behind the first `length` lines that shows a step, in the frame that shows most of it."""
    beyond = lines_TLN[:, min(length + 1, lines_TLN.shape[1] - 1)].astype(np.int16)
    return float((np.abs(beyond - lines_TLN[:, length - 1]) > STEP).mean(axis=1).max())


def _even(lines_TLN: np.ndarray, most: int, spared: float = UNSURE) -> int:
    """How many lines from the first on are even and of its level, but for the brightest `spared` percent of each."""
    outermost = 0.0
    for length in range(lines_TLN.shape[1]):
        line_TN = lines_TLN[:, length]
        brightest = line_TN.max(axis=0)
        low, middle, high = np.percentile(brightest, (UNSURE, 50, 100 - spared))
        outermost = middle if length == 0 else outermost
        if high > most or high - low > UNEVEN or abs(middle - outermost) > DRIFT:
            return length
        if most > BLACK and float(np.percentile(brightest - line_TN.min(axis=0), 98)) > UNEVEN:
            return length
    return lines_TLN.shape[1]


def _exact(lines_TLN: np.ndarray, edge: int) -> float:
    """The edge of a bar of `edge` lines as a real number: its smeared lines are mixtures of bar and picture."""
    if not edge or edge + REACH >= lines_TLN.shape[1] or edge <= REACH:
        return float(edge)
    around_TKN = lines_TLN[:, edge - REACH : edge + REACH + 1].astype(np.float32)
    bar, picture = around_TKN[:, 0], around_TKN[:, -1]
    clear = np.abs(picture - bar) > 4 * STEP
    if clear.mean() < 0.05:  # too little stands out of the bar to tell
        return float(edge)
    mixed = ((around_TKN - bar[:, None]) / np.where(clear, picture - bar, 1.0)[:, None]).clip(0.0, 1.0).sum(axis=1)
    return float(edge + REACH + 1 - np.median(mixed[clear]))
