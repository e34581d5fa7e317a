"""Which latent frames of a clip are known: one layout for text-to-video, image-to-video, extension and infill.

Known frames stay in place, clean, at time 0, and carry no loss; every other frame is noised. The codec is causal
(pixel frame 0 is latent frame 0, four pixel frames are each later one), so a condition is a whole latent frame.
"""

from __future__ import annotations

import numpy as np

from trainer.draws import weighted_choice

# The fewest latent frames with which a task leaves something to predict and differs from the simpler ones.
FEWEST_FRAMES = {"t2v": 1, "i2v": 2, "extend": 3, "infill": 3}


def draw_known(rng: np.random.Generator, tasks: dict[str, float], frames: int) -> np.ndarray:
    """Draw a task among those that `frames` latent frames allow, and its known frames: bool (frames,).

    extend knows the first or the last k frames (either side), infill both ends. A clip too short for every task
    that has a probability is trained as t2v.
    """
    draw = rng.random(3)
    allowed = {name: p for name, p in tasks.items() if p > 0 and frames >= FEWEST_FRAMES[name]}
    task = weighted_choice(rng, allowed) if allowed else "t2v"
    known = np.zeros(frames, dtype=bool)
    if task == "i2v":
        known[0] = True
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
    return known
