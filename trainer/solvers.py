"""Solvers of the flow's equation dx/dt = velocity(x, t), from t = 1 (noise) to 0, along times that are given.

euler, heun and midpoint see one step at a time. dpm++ and unipc, which Wan's own sampler takes, remember the step
before: of second order at one pass of the model a step. They work on the predicted clean latent, clean = x - t v, and
in half the logarithm of the signal-to-noise ratio, log((1 - t) / t).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]
Pin = Callable[[Tensor], Tensor]


def solve(
    velocity: Velocity, x: Tensor, times: np.ndarray, solver: str = "euler", pin: Pin = lambda x: x,
    ask_at_zero: bool = True,
) -> Tensor:  # fmt: skip
    """Follow the flow along falling times by a solver; `pin` is applied to every x.

    Heun's last step needs the velocity at time 0, which a model that takes time 0 for "known" was never taught:
    without `ask_at_zero` that step is Euler's, and the order over all steps stays 2.
    """
    if solver in ("dpm++", "unipc"):
        return _multistep(velocity, x, times.tolist(), pin, correct=solver == "unipc")
    for now, then in pairwise(times):
        step = float(then - now)
        move = velocity(x, float(now))
        if solver == "heun" and (ask_at_zero or then > 0):
            move = (move + velocity(pin(x + step * move), float(then))) / 2
        elif solver == "midpoint":
            move = velocity(pin(x + step / 2 * move), float(now + then) / 2)
        x = pin(x + step * move)
    return x


def _multistep(velocity: Velocity, x: Tensor, times: list[float], pin: Pin, correct: bool) -> Tensor:
    """DPM-Solver++ 2M (Lu et al. 2022), or with its corrector UniPC of order 2, B(h) = e^h - 1 (Zhao et al. 2023).

    The first and the last step are of first order: there is no step before, and none of finite length to time 0.
    """
    start, cleans = x, []
    for step, (now, then) in enumerate(pairwise(times)):
        cleans = [*cleans[-2:], x - now * velocity(x, now)]
        if correct and step:
            x = pin(_corrected(start, cleans, times[max(0, step - 2) : step + 1]))
        start = x
        x = _first_order(start, cleans[-1], now, then)
        if 0 < step < len(times) - 2:
            before, length = _log_snr(times[step - 1]) - _log_snr(now), _log_snr(then) - _log_snr(now)
            bent = (cleans[-2] - cleans[-1]) * (length / before)
            x = x - (1 - then) * math.expm1(-length) / 2 * bent
        x = pin(x)
    return x


def _first_order(x: Tensor, clean: Tensor, now: float, then: float) -> Tensor:
    """Step from `now` to `then` as if the predicted clean latent stayed what it is: exact for a single clip."""
    return then / now * x + (1 - then - then / now * (1 - now)) * clean


def _corrected(start: Tensor, cleans: list[Tensor], times: list[float]) -> Tensor:
    """Take the step to the last of the times again, now that the clean latent that is predicted there is known.

    `start` is where the step began; `cleans` and `times` are its end's, its beginning's and, but for the first step,
    those of the step before.
    """
    now, then = times[-2:]
    length = _log_snr(then) - _log_snr(now)
    growth = math.expm1(-length)
    x = _first_order(start, cleans[-2], now, then)
    change = cleans[-1] - cleans[-2]
    if len(times) < 3:
        return x - (1 - then) * growth / 2 * change
    # Two equations: the weights of both differences sum to `first`, and as the step before is long to `second`.
    first = (growth / -length - 1) / growth
    second = ((growth / -length - 1) / -length - 0.5) * 2 / growth
    ratio = (_log_snr(times[-3]) - _log_snr(now)) / length
    weight = (first - second) / (1 - ratio)
    return x - (1 - then) * growth * (weight * (cleans[-3] - cleans[-2]) / ratio + (first - weight) * change)


def _log_snr(time: float) -> float:
    """Return log((1 - t) / t): without end at 0 and at 1, where the steps that need it are of first order."""
    if time in (0.0, 1.0):
        return math.inf if time == 0 else -math.inf
    return math.log((1 - time) / time)
