"""Closed forms: what the best loss is on data whose best velocity is known, and how fast Euler converges."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from trainer import flow
from trainer.draws import generator
from trainer.metrics import GRID_TIMES, channel_eigenvalues, channel_floor, gaussian_velocity


@pytest.mark.parametrize("std", [1.0, 0.5])
def test_best_loss_on_a_gaussian_under_uniform_times_is_std_times_half_pi(std):
    torch.manual_seed(0)
    count = 400_000
    clean, noise, time = std * torch.randn(count), torch.randn(count), torch.rand(count)
    five = (count, 1, 1, 1, 1)
    x = flow.noised(clean.view(five), noise.view(five), time.view(count, 1)).flatten()
    error = (gaussian_velocity(x, time, std) - (noise - clean)) ** 2
    assert float(error.mean()) == pytest.approx(std * math.pi / 2, rel=0.01)
    worse = (gaussian_velocity(x, time, std) * 1.1 - (noise - clean)) ** 2
    assert float(worse.mean()) > float(error.mean())


def test_best_loss_at_the_fixed_times_of_validation():
    curve = channel_floor(np.array([0.25]), np.array(GRID_TIMES))
    wanted = [1.117904, 1.248780, 1.158371, 0.924188, 0.686327, 0.502947, 0.373723, 0.284129]
    assert np.abs(curve - wanted).max() < 1e-6
    curve = channel_floor(np.array([1.0]), np.array(GRID_TIMES))
    half = [1.132743, 1.438202, 1.753425, 1.969231]
    assert np.abs(curve - (half + half[::-1])).max() < 1e-6


def test_channel_floor_integrates_to_half_pi_times_the_mean_root():
    times = (np.arange(20_000) + 0.5) / 20_000
    eigenvalues = np.array([4.0, 1.0, 0.04])
    assert channel_floor(eigenvalues, times).mean() == pytest.approx(
        math.pi / 2 * np.sqrt(eigenvalues).mean(), rel=1e-4
    )


def test_channel_eigenvalues_are_the_spreads_along_the_axes():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    values = turn @ (np.array([[3.0], [1.0], [0.1]]) * rng.standard_normal((3, 100_000)))
    clips = [part.reshape(3, 1, 100, 100) for part in np.split(values, 10, axis=1)]
    assert np.allclose(channel_eigenvalues(clips), [0.01, 1.0, 9.0], rtol=0.03)


def test_the_shift_adds_its_logarithm_to_the_logit_once():
    time = np.linspace(0.001, 0.999, 999)
    logit = np.log(time / (1 - time))
    for shift in (0.3, 1.0, 3.0, 7.0):
        moved = flow.shifted(time, shift)
        assert np.abs(np.log(moved / (1 - moved)) - logit - math.log(shift)).max() < 1e-10
    plain = flow.draw_times(generator(0, "t"), 100, 0.2, 1.1, 1.0)
    assert np.allclose(flow.draw_times(generator(0, "t"), 100, 0.2, 1.1, 3.0), flow.shifted(plain, 3.0))
    assert flow.solver_times(4, 3.0).tolist() == pytest.approx([1.0, 0.9, 0.75, 0.5, 0.0])
    assert flow.solver_times(4, 5.0).tolist()[:4] == pytest.approx([1.0, 0.9375, 0.83333333, 0.625])


def euler(velocity, x: torch.Tensor, steps: int) -> torch.Tensor:
    for now, then in pairwise(flow.solver_times(steps, 1.0)):
        x = x + (then - now) * velocity(x, now)
    return x


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_euler_reaches_a_single_clip_in_any_number_of_steps(steps):
    torch.manual_seed(0)
    clip, noise = torch.randn(64), torch.randn(64)
    reached = euler(lambda x, t: (x - clip) / t, noise, steps)
    assert (reached - clip).abs().max() < 1e-5


def test_euler_is_of_first_order_on_a_gaussian():
    start = torch.tensor([1.0], dtype=torch.float64)
    errors = []
    for steps in (5, 10, 20, 40, 80, 160):
        errors.append(abs(float(euler(lambda x, t: gaussian_velocity(x, t, 0.5), start, steps)) - 0.5))
    wanted = [1.308e-1, 6.922e-2, 3.575e-2, 1.819e-2, 9.176e-3, 4.609e-3]
    assert errors == pytest.approx(wanted, rel=2e-3)
    assert math.log2(errors[-2] / errors[-1]) == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("objective", ["velocity", "x0"])
def test_both_objectives_stand_for_the_same_velocity(objective):
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    time = torch.rand(2, 4) * 0.9 + 0.05
    x = flow.noised(clean, noise, time)
    perfect = clean if objective == "x0" else noise - clean
    assert (flow.velocity(objective, perfect, x, time) - (noise - clean)).abs().max() < 1e-4
    off = perfect + torch.randn_like(perfect)
    error = flow.velocity(objective, off, x, time) - (noise - clean)
    assert (flow.velocity_error(objective, off, clean, noise, time) - error).abs().max() < 1e-4


def test_known_frames_are_clean_bitwise_and_carry_no_loss():
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 3, 4, 2, 2), torch.randn(2, 3, 4, 2, 2)
    time = torch.tensor([[0.0, 0.5, 0.5, 0.0], [0.7, 0.7, 0.7, 0.7]])
    known = time == 0
    x = flow.noised(clean, noise, time)
    assert torch.equal(x[0, :, 0], clean[0, :, 0])
    assert torch.equal(x[0, :, 3], clean[0, :, 3])
    wanted = noise - clean
    prediction = wanted.clone()
    prediction[0, :, [0, 3]] += 1e6
    squares, numbers = flow.squared_error(prediction - wanted, known, torch.ones(2))
    assert float(squares) == 0
    assert float(numbers) == 6 * 3 * 2 * 2
    squares, numbers = flow.squared_error(torch.full_like(wanted, 2.0), known, torch.tensor([1.0, 0.5]))
    assert float(squares / numbers) == pytest.approx(4.0)
    assert float(numbers) == (2 + 4 * 0.5) * 12
