"""The name of a camera's motion, from its numbers."""

from __future__ import annotations

import numpy as np

NAMES = (
    "static", "pan_left", "pan_right", "tilt_up", "tilt_down", "zoom_in", "zoom_out", "roll_cw", "roll_ccw", "shaky",
    "mixed",
)  # fmt: skip
# What a person sees as motion: shifts in short sides a second, scale as share a second, turns in degrees a second.
LEAST_SHIFT, LEAST_SCALE, LEAST_TURN = 0.03, 0.04, 2.5
SHAKY = 0.12  # short sides a second of jitter about the smooth path
EDGE = 0.6  # short sides from the middle at which scale and turn are compared with shifts: the eye looks there
RIVAL = 0.6  # a second motion with this share of the effect of the first makes it `mixed`


def name_of(rates: np.ndarray, shake: float) -> str:
    """Name pan, tilt, zoom and roll (units as in `filters.camera`), and jitter.

    It is the motion with the largest effect at the picture's edge; shaky when jitter outweighs it, mixed when two do.
    """
    pan, tilt, zoom, roll = rates
    effects = {
        ("pan_right", "pan_left"): (pan, abs(pan), LEAST_SHIFT),
        ("tilt_up", "tilt_down"): (tilt, abs(tilt), LEAST_SHIFT),
        ("zoom_in", "zoom_out"): (zoom, abs(zoom) * EDGE, LEAST_SCALE * EDGE),
        ("roll_cw", "roll_ccw"): (roll, abs(np.deg2rad(roll)) * EDGE, np.deg2rad(LEAST_TURN) * EDGE),
    }
    seen = sorted(((effect, value, names) for names, (value, effect, least) in effects.items() if effect >= least),
                  reverse=True)  # fmt: skip
    strongest = seen[0][0] if seen else 0.0
    if shake >= SHAKY and shake > strongest:
        return "shaky"
    if not seen:
        return "static"
    if len(seen) > 1 and seen[1][0] > RIVAL * strongest:
        return "mixed"
    return seen[0][2][0 if seen[0][1] > 0 else 1]
