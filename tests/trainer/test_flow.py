"""Closed forms: what the best loss is on data whose best velocity is known, and how fast solvers converge."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from trainer import flow
from trainer.draws import generator
from trainer.metrics import GRID_TIMES, gaussian_floor, gaussian_velocity
from trainer.sizes import TokenShift, read_shift, shift_at
from trainer.solvers import solve


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
    curve = gaussian_floor(np.array([0.25]), np.array(GRID_TIMES))
    wanted = [1.117904, 1.248780, 1.158371, 0.924188, 0.686327, 0.502947, 0.373723, 0.284129]
    assert np.abs(curve - wanted).max() < 1e-6
    curve = gaussian_floor(np.array([1.0]), np.array(GRID_TIMES))
    half = [1.132743, 1.438202, 1.753425, 1.969231]
    assert np.abs(curve - (half + half[::-1])).max() < 1e-6


def test_the_gaussian_floor_integrates_to_half_pi_times_the_mean_root():
    times = (np.arange(20_000) + 0.5) / 20_000
    eigenvalues = np.array([4.0, 1.0, 0.04])
    assert gaussian_floor(eigenvalues, times).mean() == pytest.approx(
        math.pi / 2 * np.sqrt(eigenvalues).mean(), rel=1e-4
    )


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


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_euler_reaches_a_single_clip_in_any_number_of_steps(steps):
    torch.manual_seed(0)
    clip, noise = torch.randn(64), torch.randn(64)
    reached = solve(lambda x, t: (x - clip) / t, noise, flow.solver_times(steps, 1.0))
    assert (reached - clip).abs().max() < 1e-5
    exact = solve(lambda x, t: (x - clip.double()) / t, noise.double(), flow.solver_times(steps, 1.0))
    assert (exact - clip).abs().max() < 1e-6


# |error| at 5, 10, 20, 40, 80, 160 steps on the exact Gaussian field of std 0.5, from 1, and the order of the method.
ORDERS = {
    ("euler", True): ([1.308e-1, 6.922e-2, 3.575e-2, 1.819e-2, 9.176e-3, 4.609e-3], 1.0),
    ("heun", True): ([4.373e-3, 1.720e-3, 5.084e-4, 1.368e-4, 3.542e-5, 9.005e-6], 2.0),
    ("heun", False): ([4.148e-2, 9.187e-3, 2.112e-3, 5.036e-4, 1.228e-4, 3.030e-5], 2.0),
    ("midpoint", False): ([8.933e-4, 1.153e-4, None, None, None, 2.849e-8], 3.0),  # 3 by this field's symmetry
}  # fmt: skip


@pytest.mark.parametrize(("solver", "ask_at_zero"), ORDERS)
def test_solvers_have_their_order_on_a_gaussian(solver, ask_at_zero):
    start = torch.tensor([1.0], dtype=torch.float64)
    asked: list[float] = []

    def velocity(x: torch.Tensor, time: float) -> torch.Tensor:
        asked.append(time)
        return gaussian_velocity(x, time, 0.5)

    errors = []
    for steps in (5, 10, 20, 40, 80, 160):
        times = flow.solver_times(steps, 1.0)
        errors.append(abs(float(solve(velocity, start, times, solver, ask_at_zero=ask_at_zero)) - 0.5))
    wanted, order = ORDERS[solver, ask_at_zero]
    for error, number in zip(errors, wanted, strict=True):
        assert number is None or error == pytest.approx(number, rel=2e-3)
    assert math.log2(errors[-2] / errors[-1]) == pytest.approx(order, abs=0.05)
    assert (0.0 in asked) == (solver == "heun" and ask_at_zero)


@pytest.mark.parametrize("std", [0.5, 2.0])
@pytest.mark.parametrize(("solver", "wanted"), [("dpm++", 1.84), ("unipc", 2.03)])
def test_multistep_solvers_have_their_order_at_one_pass_a_step(solver, wanted, std):
    # At both ends the logarithm's steps do not shrink with more of them: the order comes slowly, by log(N) / N^2.
    errors = []
    for steps in (640, 1280):
        asked: list[float] = []

        def velocity(x: torch.Tensor, time: float, asked: list[float] = asked) -> torch.Tensor:
            asked.append(time)
            return gaussian_velocity(x, time, std)

        times, start = flow.solver_times(steps, 1.0), torch.ones(1, dtype=torch.float64)
        errors.append(abs(float(solve(velocity, start, times, solver)) - std))
        assert asked == times[:-1].tolist()
    order = math.log2(errors[0] / errors[1])
    assert order == pytest.approx(wanted, abs=0.03)
    assert order >= 1.8
    # Of no more than this, and at the steps of use below Euler's.
    few, euler = (
        abs(float(solve(lambda x, t: gaussian_velocity(x, t, std), torch.ones(1, dtype=torch.float64),
                        flow.solver_times(20, 1.0), name)) - std) for name in (solver, "euler")
    )  # fmt: skip
    assert few < euler / 3


@pytest.mark.parametrize("solver", ["euler", "heun", "midpoint", "dpm++", "unipc"])
def test_every_solver_pins_what_it_asks_about_and_what_it_gives(solver):
    held = torch.tensor([True, False])

    def pin(x: torch.Tensor) -> torch.Tensor:
        return torch.where(held, 7.0, x)

    def velocity(x: torch.Tensor, time: float) -> torch.Tensor:
        assert float(x[0]) == 7.0
        return gaussian_velocity(x, time, 0.5) + torch.tensor([1e6, 0.0])  # what is known has no velocity of worth

    start = torch.tensor([7.0, 1.0])
    for steps in (1, 2, 9):
        reached = solve(velocity, start, flow.solver_times(steps, 3.0), solver, pin, ask_at_zero=False)
        alone = solve(lambda x, t: gaussian_velocity(x, t, 0.5), start[1:], flow.solver_times(steps, 3.0), solver,
                      ask_at_zero=False)  # fmt: skip
        assert float(reached[0]) == 7.0
        assert torch.equal(reached[1:], alone)


class Quantiles:
    """In place of a random generator: the midpoints of `count` equal shares of a law, so that a mean is an integral."""

    def random(self, count: int) -> np.ndarray:
        return (np.arange(count) + 0.5) / count

    def standard_normal(self, count: int) -> np.ndarray:
        return norm.ppf(self.random(count))


# (law, shift): the best loss on a Gaussian of std 1 and of std 0.5, by numerical integration elsewhere.
BEST = {
    ("uniform", 1.0): (math.pi / 2, math.pi / 4), ("uniform", 3.0): (1.492821, 0.575612),
    ("logit_normal", 1.0): (1.741264, 0.811083), ("logit_normal", 3.0): (1.582368, 0.516687),
    ("logit_normal", 5.0): (1.447097, 0.420733), ("logit_normal", 7.0): (1.359349, 0.374297),
}  # fmt: skip


@pytest.mark.parametrize(("law", "shift"), BEST)
def test_best_losses_under_the_laws_of_times(law, shift):
    times = flow.draw_times(Quantiles(), 200_000, 0.0, 1.0, shift, law)  # type: ignore[arg-type]
    for std, wanted in zip((1.0, 0.5), BEST[law, shift], strict=True):
        assert gaussian_floor(np.array([std**2]), times).mean() == pytest.approx(wanted, abs=2e-6)


def test_the_shift_identity_holds_to_rounding():
    time = np.linspace(0.05, 0.85, 81)  # nearer to 1, the rounding of 1 - t alone is larger
    for shift in (3.0, 5.0, 7.0):
        moved = flow.shifted(time, shift)
        assert np.abs(np.log(moved / (1 - moved)) - np.log(time / (1 - time)) - math.log(shift)).max() <= 1e-14


def test_times_by_mode_have_the_density_of_their_map():
    uniform = np.linspace(0, 1, 100_001)
    assert np.allclose(flow.mode_times(uniform, 0.0), 1 - uniform)
    for scale in (-1.0, 0.8, 1.29, 1.75):
        times = flow.mode_times(uniform, scale)
        assert (times[0], times[50_000], times[-1]) == pytest.approx((1.0, 0.5, 0.0))
        assert np.diff(times).max() <= 0
        if scale == 1.75:
            continue  # nearly all mass is at the middle
        # The density is one over the slope of the map: at the middle 1 / (1 - s (pi / 2 - 1)).
        near = np.mean(np.abs(times - 0.5) < 0.005) / 0.01
        assert near == pytest.approx(1 / (1 - scale * (math.pi / 2 - 1)), rel=0.03)
    drawn = flow.draw_times(generator(0, "t"), 1000, 0.0, 1.0, 3.0, "mode", 1.29)
    assert np.array_equal(drawn, flow.shifted(flow.mode_times(generator(0, "t").random(1000), 1.29), 3.0))


def test_the_flow_of_a_mixture_of_clips_samples_each_by_its_weight():
    torch.manual_seed(0)
    clips, weights = torch.tensor([[-2.0, 0.0], [1.0, 1.0], [2.0, -1.0]]), torch.tensor([0.2, 0.5, 0.3])

    def velocity(x: torch.Tensor, time: float) -> torch.Tensor:
        distance = (x[:, None] - (1 - time) * clips).square().sum(dim=2)
        share = torch.softmax(weights.log() - distance / (2 * time**2), dim=1)
        return (x - share @ clips) / time

    count = 4000
    reached = solve(velocity, torch.randn(count, 2), flow.solver_times(100, 1.0), "midpoint", ask_at_zero=False)
    distance, nearest = torch.cdist(reached, clips).min(dim=1)
    assert distance.max() < 1e-2
    found = torch.bincount(nearest, minlength=3)
    chi_square = float(((found - count * weights) ** 2 / (count * weights)).sum())
    assert chi_square < 13.8  # 99.9 % of two degrees of freedom


def test_the_likelihood_along_the_flow_is_the_gaussians():
    std, count = 0.5, 80

    def divergence(time: float) -> float:
        return float(gaussian_velocity(torch.tensor(1.0, dtype=torch.float64), time, std))  # linear in x

    rows = np.linspace(0.0, 1.0, count + 1)
    step = 1 / count
    total, x = 0.0, 0.7
    for now in rows[:-1]:
        total += step / 6 * (divergence(now) + 4 * divergence(now + step / 2) + divergence(now + step))
        k1 = divergence(now) * x
        k2 = divergence(now + step / 2) * (x + step / 2 * k1)
        k3 = divergence(now + step / 2) * (x + step / 2 * k2)
        x += step / 6 * (k1 + 2 * k2 + 2 * k3 + divergence(now + step) * (x + step * k3))
    assert total == pytest.approx(-math.log(std), abs=1e-6)
    assert norm.logpdf(x) + total == pytest.approx(norm.logpdf(0.7, scale=std), abs=1e-4)


def test_the_shift_by_tokens_is_clamped_and_between_them_a_power():
    shift = TokenShift(base_tokens=1024, base=1.0, max_tokens=16384, max=4.0)
    assert [shift_at(shift, tokens) for tokens in (1, 1024, 16384, 75600)] == [1.0, 1.0, 4.0, 4.0]
    # Here it is Esser et al.'s square root of the ratio of tokens.
    for tokens in (1500, 4096, 9000):
        assert shift_at(shift, tokens) == pytest.approx(math.sqrt(tokens / 1024))
    assert shift_at(3.0, 5) == 3.0
    assert read_shift(shift.model_dump(mode="json")) == shift


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


def test_known_tokens_are_clean_bitwise_and_carry_no_loss():
    torch.manual_seed(0)
    clean, noise = torch.randn(2, 3, 2, 4, 6), torch.randn(2, 3, 2, 4, 6)
    known = torch.rand(2, 2, 2, 3) > 0.5  # tokens of 2 x 2 numbers
    time = torch.where(known, 0.0, torch.rand(2, 2, 1, 1) + 0.1)
    x = flow.noised(clean, noise, time)
    inside = known[:, None].repeat_interleave(2, 3).repeat_interleave(2, 4).expand_as(x)
    assert torch.equal(x == clean, inside)
    error, weights = torch.randn_like(clean), torch.tensor([1.0, 0.5])
    squares, numbers = flow.squared_error(error, known, weights)
    wanted = (error.square() * ~inside * weights.view(2, 1, 1, 1, 1)).sum()
    assert float(squares) == pytest.approx(float(wanted), rel=1e-5)
    assert float(numbers) == float((~inside * weights.view(2, 1, 1, 1, 1)).sum())
    frames = known.all(dim=(2, 3))
    whole = frames[:, :, None, None].expand_as(known)
    assert torch.allclose(*(torch.stack(flow.squared_error(error, k, weights)) for k in (frames, whole)))


def test_distinct_times_and_places_stand_for_the_time_of_every_token():
    time = torch.tensor([[[[0.0, 0.5], [0.5, 0.5]], [[0.0, 0.7], [0.7, 0.7]], [[0.0, 0.0], [0.0, 0.0]]]])
    times_BK, index_BL = flow.token_times(time)
    assert times_BK.shape == (1, 4)
    assert torch.equal(times_BK.gather(1, index_BL), time.flatten(1))
    assert flow.token_times(time[:, :, 0, 0])[1] is None
