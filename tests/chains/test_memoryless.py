"""What a frozen start costs where the end of a path depends on it, by closed forms and by exact grids."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from seiko.chain import fork, path_kl, rollout
from seiko.chains.gaussian import Score, VarianceExploding
from seiko.chains.graph_sde import GraphSDE, GraphSDEChain
from seiko.chains.graph_steps import GraphNoise

STEPS, STD, WEIGHT = 8, 1.0, 0.5  # bond orders 0 to 3 have a spread of about 1


class _ShiftedExact(nn.Module):
    """Exact scores of two nodes joined by an edge N(1, STD^2), and a trainable shift of each step's score."""

    def __init__(self, times):
        super().__init__()
        self.register_buffer("times", times)
        self.shift = nn.Parameter(torch.zeros(len(times), dtype=torch.float64))

    def forward(self, state, time, condition=None):
        sigma = 0.2 * 5**time
        score = -(state["edges"] - 1) / (STD**2 + sigma**2)[:, None]
        step = (time[:, None] - self.times).abs().argmin(1)
        return {"nodes": -state["nodes"], "edges": score + self.shift[step][:, None]}


class _Shift(nn.Module):
    """The same trainable drift of the edge in every step of the start."""

    def __init__(self):
        super().__init__()
        self.drift = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, state, time, condition=None):
        return {"nodes": 0 * state["nodes"], "edges": self.drift.expand_as(state["edges"])}


def _chain(start_steps):
    noise = GraphNoise(VarianceExploding(0.2, 1.0), Score(), snr=0.1)
    process = GraphSDE(2, 1, noise, noise, STEPS, "splitting")
    start = _Shift() if start_steps else None
    network = _ShiftedExact(process.steps()["edges"].time)
    return GraphSDEChain(network, process, start=start, start_steps=start_steps)


def _variances():
    """Of the end: what the start decided, and what the steps add."""
    steps = _chain(0).process.steps()["edges"]
    slopes = steps.keep - steps.push / (STD**2 + (0.2 * 5**steps.time) ** 2)
    after = torch.cat([slopes.flip(0).cumprod(0).flip(0)[1:], torch.ones(1, dtype=torch.float64)])
    from_start = float(slopes.prod() ** 2)
    return from_start, float((after**2 * steps.scale**2).sum())


def _end(chain, *, grad):
    steps = list(
        rollout(chain, 64, grad_steps="all" if grad else 0, generator=torch.Generator().manual_seed(0))
    )
    return steps[-1].next_state["edges"].mean()


def _fine_tuned_shift(start_steps):
    """Maximise E[edge] - WEIGHT KL(path laws): shifts are the optimal controls of a linear Gaussian chain."""
    base = _chain(start_steps)
    chain = fork(base)
    trained = [chain.network.shift, *([chain.start.drift] if start_steps else [])]
    optimiser = torch.optim.LBFGS(trained, max_iter=60, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def loss():
        optimiser.zero_grad()
        generator = torch.Generator().manual_seed(0)
        divergence = path_kl(chain, base, 4, grad_steps="all", generator=generator).mean()
        total = WEIGHT * divergence - _end(chain, grad=True)
        total.backward()
        return total

    for _ in range(3):
        optimiser.step(loss)
    return float(_end(chain, grad=False).detach() - _end(base, grad=False))


def test_a_frozen_start_loses_the_share_of_the_variance_that_it_decided():
    """Wanted: the law of the end tilted by exp(edge / w), whose mean moves by Var / w. A frozen start moves
    it by Var(end | start) / w only; a learned start by all of it."""
    from_start, from_steps = _variances()
    assert 0.2 < from_start / (from_start + from_steps) < 0.9  # GDSS's edges: far from memoryless
    assert _fine_tuned_shift(0) == pytest.approx(from_steps / WEIGHT, rel=1e-5)
    for start_steps in (1, 3):
        found = _fine_tuned_shift(start_steps)
        assert found == pytest.approx((from_start + from_steps) / WEIGHT, rel=1e-5)


# ------------------------------------------------------------------- a bond that is there or not, on a grid

GRID = np.linspace(-4.5, 6.5, 551)
ORDER, CENTRE = 2.0, 1.0  # a double bond or none


def _normal(mean, std):
    """Rows of a transition matrix over the grid."""
    rows = np.exp(-0.5 * ((GRID[None] - mean[:, None]) / std) ** 2)
    return rows / rows.sum(1, keepdims=True)


def _bond_given_start(sigma_max, num_steps=100):
    """P(bond | start) of the reverse chain whose data are 0 or ORDER, each half of the time."""
    levels = 0.2 * (sigma_max / 0.2) ** np.linspace(1, 0, num_steps)
    chance = 0.5 + 0.5 * np.sign((GRID - CENTRE).round(9))
    for k in reversed(range(num_steps)):
        sigma = levels[k]
        later = levels[k + 1] if k + 1 < num_steps else 0.0
        one = 1 / (1 + np.exp(-np.clip(ORDER * (GRID - CENTRE) / sigma**2, -500, 500)))
        push = sigma**2 - later**2
        mean = GRID + push * (ORDER * one - GRID) / sigma**2
        chance = _normal(mean, math.sqrt(push) if later else 0.05) @ chance
    return chance


def _share_of_bonds(sigma_max, weight, start_steps):
    """P(bond) after the best fine-tuning for r = [bond], the start frozen (0) or learned in so many steps.

    The steps after the start are free to take their optimum given it, the tilt of each start's own law.
    """
    grown = np.exp(1 / weight)
    at = np.interp(CENTRE + sigma_max * (GRID - CENTRE), GRID, _bond_given_start(sigma_max))
    value = weight * np.log(at * grown + 1 - at)  # of a start, in units of its standard deviation
    bond = at * grown / (at * grown + 1 - at)
    origin = np.abs(GRID - CENTRE).argmin()
    if not start_steps:
        return float(_normal(GRID[origin : origin + 1], 1.0)[0] @ bond)
    drifts = np.linspace(-4, 4, 41)
    for _ in range(start_steps):
        gains = []
        for drift in drifts:
            kernel = _normal(GRID + drift / start_steps, start_steps**-0.5)
            gains.append((kernel @ value - weight * drift**2 / (2 * start_steps), kernel @ bond))
        best = np.argmax([gain for gain, _ in gains], 0)
        value = np.array([gain for gain, _ in gains])[best, np.arange(len(GRID))]
        bond = np.array([share for _, share in gains])[best, np.arange(len(GRID))]
    return float(bond[origin])


def test_bonds_fall_short_with_a_frozen_start_and_a_learned_one_repairs_it():
    weight = 1 / math.log(9)  # wanted: P(bond) = 0.9 instead of 0.5
    frozen, shifted, learned = (_share_of_bonds(1.0, weight, steps) for steps in (0, 1, 8))
    assert frozen < 0.86
    assert frozen + 0.02 < shifted
    assert abs(learned - 0.9) < abs(shifted - 0.9) + 1e-3
    assert abs(learned - 0.9) < 0.02


if __name__ == "__main__":  # the table of docs/gdss.md
    for wanted in (0.7, 0.9, 0.99):
        shares = [
            _share_of_bonds(1.0, 1 / math.log(wanted / (1 - wanted)), steps) for steps in (0, 1, 2, 4, 8)
        ]
        print(wanted, [round(share, 3) for share in shares])
    print(_variances())
