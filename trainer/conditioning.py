"""What of a clip is known: one layout for text to video, image to video, first and last, extension, infill, inpainting.

What is known stays in place, clean, at time 0, and carries no loss; all else is noised. The codec is causal
(pixel frame 0 is latent frame 0, four pixel frames are each later one), so a condition in time is a whole latent
frame; within a frame it is a whole token. Legend: T latent frames; h, w a frame's tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.draws import weighted_choice

# The fewest latent frames with which a task leaves something to predict and differs from the simpler ones.
FEWEST_FRAMES = {"t2v": 1, "i2v": 2, "first_last": 3, "extend": 3, "infill": 3, "inpaint": 1}


def draw_known(
    rng: np.random.Generator, tasks: dict[str, float], frames: int, tokens_hw: tuple[int, int] = (1, 1)
) -> np.ndarray:
    """Draw a task among those that the clip allows, and what is known: bool (T,), or (T, h, w) for inpaint.

    extend knows the first or the last k frames (either side), infill both ends, first_last one frame of each. inpaint
    hides a box of tokens through all frames, or all but the box. A clip too small for every task that has a
    probability is trained as t2v.
    """
    draw = rng.random(3)
    allowed = {name: p for name, p in tasks.items() if p > 0 and fits(name, frames, tokens_hw)}
    task = weighted_choice(rng, allowed) if allowed else "t2v"
    known = np.zeros(frames, dtype=bool)
    if task == "i2v":
        known[0] = True
    elif task == "first_last":
        known[[0, -1]] = True
    elif task == "extend":
        # 2 to frames - 1 at the start (1 would be i2v), or 1 to frames - 1 at the end.
        if draw[0] < 0.5:
            known[: 2 + int(draw[1] * (frames - 2))] = True
        else:
            known[frames - 1 - int(draw[1] * (frames - 1)) :] = True
    elif task == "infill":
        hidden = 1 + int(draw[1] * (frames - 2))
        start = 1 + int(draw[2] * (frames - 1 - hidden))
        known[:] = True
        known[start : start + hidden] = False
    elif task == "inpaint":
        inside = _draw_box(rng, tokens_hw)
        return np.broadcast_to(inside if draw[0] < 0.5 else ~inside, (frames, *tokens_hw)).copy()
    return known


def fits(task: str, frames: int, tokens_hw: tuple[int, int]) -> bool:
    """Whether a clip is large enough for a task."""
    return frames >= FEWEST_FRAMES[task] and (task != "inpaint" or tokens_hw[0] * tokens_hw[1] > 1)


def _draw_box(rng: np.random.Generator, tokens_hw: tuple[int, int]) -> np.ndarray:
    """Draw a box of tokens, neither none nor all of them, each side uniform: bool (h, w)."""
    rows, columns = tokens_hw
    height, width = 1 + int(rng.random() * rows), 1 + int(rng.random() * columns)
    if (height, width) == tokens_hw:
        height, width = (rows - 1, columns) if rows > 1 else (rows, columns - 1)
    top, left = int(rng.random() * (rows - height + 1)), int(rng.random() * (columns - width + 1))
    box = np.zeros(tokens_hw, dtype=bool)
    box[top : top + height, left : left + width] = True
    return box


def where_unknown(times_T: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return each frame's time, or each token's: 0 where `known`, in its shape."""
    return np.where(known, 0.0, times_T.reshape(-1, *[1] * (known.ndim - 1)))


def stack(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Stack numbers of frames (T,) and of tokens (T, h, w): (B, T), or (B, T, h, w) if any is of tokens."""
    shape = max((part.shape for part in parts), key=len)
    whole = [part if part.ndim == len(shape) else np.broadcast_to(part[:, None, None], shape) for part in parts]
    return np.stack(whole)
