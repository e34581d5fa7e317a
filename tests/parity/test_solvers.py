"""Our multistep solvers and grids of times against diffusers' schedulers, on the same fields and times."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer import flow
from trainer.metrics import gaussian_velocity
from trainer.solvers import Velocity, solve

with warnings.catch_warnings():
    # diffusers' imports raise deprecation warnings of their own dependencies.
    warnings.simplefilter("ignore")
    from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

CLIPS = torch.randn(4, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
# diffusers' DPM-Solver++ steps in float32 whatever it is given.
LIMITS = {"unipc": 1e-10, "dpm++": 1e-5}


def theirs(solver: str, velocity: Velocity, x: Tensor, times: np.ndarray) -> Tensor:
    kind = UniPCMultistepScheduler if solver == "unipc" else DPMSolverMultistepScheduler
    scheduler = kind(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of torch tensors
        scheduler.set_timesteps(len(times) - 1)
    scheduler.sigmas = torch.from_numpy(times)
    scheduler.timesteps = 1000 * scheduler.sigmas[:-1]
    scheduler.set_begin_index(0)
    for time, timestep in zip(times.tolist(), scheduler.timesteps, strict=False):
        x = scheduler.step(velocity(x, time), timestep, x).prev_sample
    return x


def to_one_of_four(x: Tensor, time: float) -> Tensor:
    """The velocity towards four clips: bent, where a Gaussian's is linear in x."""
    flat = x.flatten(1)
    distance = (flat[:, None] - (1 - time) * CLIPS).square().sum(dim=2)
    return ((flat - torch.softmax(-distance / (2 * time**2), dim=1) @ CLIPS) / time).view_as(x)


@pytest.mark.parametrize("solver", LIMITS)
@pytest.mark.parametrize("start", [1.0, 0.97])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 20])
def test_multistep_solvers_are_diffusers(solver, start, steps):
    x = torch.randn(3, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    times = flow.shifted(np.linspace(start, 0.0, steps + 1), 3.0)
    reached = []
    for velocity in (to_one_of_four, lambda x, t: gaussian_velocity(x, t, 0.5)):
        ours = solve(velocity, x, times, solver)
        assert float((ours - theirs(solver, velocity, x, times)).abs().max()) <= LIMITS[solver]
        reached.append(ours)
        euler = solve(velocity, x, times, "euler")  # which all first steps and last ones are
        assert steps < 7 or float((ours - euler).abs().max()) > 1e-3
    assert not torch.allclose(*reached)


def test_our_times_are_shifted_once_and_those_of_diffusers_twice():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(4)
    assert scheduler.sigmas[:4].tolist() == pytest.approx([1, 0.857692, 0.602151, 0.008929], abs=1e-6)
    once = flow.shifted(np.linspace(1.0, 0.001, 4), 3.0)
    assert once.tolist() == pytest.approx([1, 0.857326, 0.600719, 0.002994], abs=1e-6)
    twice = flow.shifted(np.linspace(1.0, float(flow.shifted(np.array(0.001), 3.0)), 4), 3.0)
    assert twice.tolist() == pytest.approx(scheduler.sigmas[:4].tolist(), abs=1e-6)
