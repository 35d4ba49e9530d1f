from __future__ import annotations

import math

import pytest
import torch
from graph_world import masks, small_chain
from torch import nn

from seiko.chain import fork, path_kl, path_log_prob, sample, sample_path
from seiko.chains.gaussian import Epsilon, Score, VarianceExploding, VariancePreserving
from seiko.chains.graph_sde import GraphSDE, GraphSDEChain
from seiko.chains.graph_steps import AffineSteps, GraphNoise
from seiko.errors import DeterministicChainError, ParameterError, ShapeError
from seiko.graphs import pairs_present
from seiko.testing import check_chain
from seiko.testing.chains import perturbed


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


SOLVERS = ["splitting", "predictor-corrector"]
PATHS = [VariancePreserving(0.1, 1.0), VarianceExploding(0.2, 1.0)]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("start_steps", [0, 2])
def test_it_keeps_the_rules_of_chains(solver, start_steps):
    make = lambda: small_chain(solver=solver, start_steps=start_steps, steps=2)  # noqa: E731
    check_chain(make, condition=masks(4), num_paths=256)


def test_it_keeps_the_rules_with_every_slot_present():
    check_chain(small_chain, num_paths=128)


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_path_divergence_is_the_mean_log_ratio(solver):
    """Exact step divergences against log p - log q of whole sampled paths."""
    chain = small_chain(solver=solver, start_steps=2)
    other = perturbed(chain, 0.1)
    condition = masks(4000)
    with torch.no_grad():
        states = sample_path(chain, 4000, condition=condition, generator=generator(1))
        ours, theirs = (path_log_prob(c, states, condition=condition).sum(1) for c in (chain, other))
        exact = path_kl(chain, other, 4000, condition=condition, generator=generator(2))
    ratio = ours - theirs
    error = math.sqrt(float(ratio.var() + exact.var()) / 4000)
    assert float(exact.mean()) > 20 * error  # the test has something to see
    assert abs(float(ratio.mean() - exact.mean())) < 4 * error


# ------------------------------------------------------------------------------- steps against their formulas


def _random_steps(seed):
    numbers = torch.rand(3, 5, generator=generator(seed), dtype=torch.float64) + 0.1
    return AffineSteps(torch.linspace(1, 0, 5, dtype=torch.float64), *numbers)


def test_two_stages_with_one_score_are_one_gaussian():
    """Simulated: s' = keep s + push g + scale z, then the same again with g kept."""
    first, second = _random_steps(0), _random_steps(1)
    both = first.then(second)
    state, score = 0.7, -1.3
    noise = torch.randn(2, 200_000, generator=generator(2), dtype=torch.float64)
    for k in range(5):
        between = first.keep[k] * state + first.push[k] * score + first.scale[k] * noise[0]
        end = second.keep[k] * between + second.push[k] * score + second.scale[k] * noise[1]
        mean = both.keep[k] * state + both.push[k] * score
        assert abs(float(end.mean() - mean)) < 5 * float(both.scale[k]) / math.sqrt(200_000)
        assert abs(float(end.std() / both.scale[k]) - 1) < 0.01


@pytest.mark.parametrize("path", PATHS, ids=["vp", "ve"])
def test_a_splitting_step_is_the_composition_of_the_published_stages(path):
    """S4 of Jo et al. 2022: correction, half noise, score, half noise, run with each noise in turn."""
    noise = GraphNoise(path, noise_size=(0.8, 2.0), snr=0.2, noise_factor=0.9)
    steps = noise.steps(6, "splitting")
    beta0, slope, h = 0.1, 0.9, 1 / 6

    def half(state, time, z):
        if isinstance(path, VarianceExploding):
            sigma = lambda t: 0.2 * 5**t  # noqa: E731
            return state + math.sqrt(sigma(time) ** 2 - sigma(time - h / 2) ** 2) * z
        log = 0.25 * (-h / 2) * (2 * beta0 + (2 * time - h / 2) * slope)
        return math.exp(-log) * state + math.sqrt(1 - math.exp(2 * log)) * z

    def run(k, state, score, z):
        time = float(steps.time[k])
        rate = beta0 + time * slope
        vp = isinstance(path, VariancePreserving)
        g2 = rate if vp else (0.2 * 5**time) ** 2 * 2 * math.log(5)
        size = 0.8 + (1 - time) * 1.2
        alpha2 = math.exp(-0.45 * time**2 - 0.1 * time)
        sigma = math.sqrt(1 - alpha2) if vp else 0.2 * 5**time
        step = 2 * (1 - rate / 6 if vp else 1.0) * (0.2 * sigma / size) ** 2
        state = state + step * score + 0.9 * math.sqrt(2 * step) * z[0]
        state = half(state, time, z[1]) + g2 * h * score
        return half(state, time - h / 2, z[2])

    for k in range(5):
        mean = run(k, 0.7, -1.3, (0, 0, 0))
        assert math.isclose(float(steps.keep[k] * 0.7 - steps.push[k] * 1.3), mean, rel_tol=1e-9)
        units = [run(k, 0.7, -1.3, z) - mean for z in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
        assert math.isclose(float(steps.scale[k]), math.hypot(*units), rel_tol=1e-9)


@pytest.mark.parametrize("path", PATHS, ids=["vp", "ve"])
def test_predictor_and_corrector_alternate_with_their_own_scores(path):
    noise = GraphNoise(path, noise_size=(1.0,), snr=0.2, noise_factor=0.8, floor=0.03)
    steps = noise.steps(4, "predictor-corrector")
    assert torch.equal(steps.time[::2], steps.time[1::2])
    vp = isinstance(path, VariancePreserving)
    for k in range(3):
        time = float(steps.time[2 * k])
        beta = (0.1 + 0.9 * time) / 4
        sigma = math.sqrt(1 - math.exp(-0.45 * time**2 - 0.1 * time)) if vp else 0.2 * 5**time
        step = 2 * (1 - beta if vp else 1) * (0.2 * sigma) ** 2
        assert [float(steps.keep[2 * k]), float(steps.push[2 * k])] == pytest.approx([1, step])
        assert float(steps.scale[2 * k]) == pytest.approx(0.8 * math.sqrt(2 * step))
        later = float(steps.time[2 * k + 2])
        push = beta if vp else 0.04 * (25**time - 25**later)
        keep = 2 - math.sqrt(1 - beta) if vp else 1.0
        assert [float(steps.keep[2 * k + 1]), float(steps.push[2 * k + 1])] == pytest.approx([keep, push])
        assert float(steps.scale[2 * k + 1]) == pytest.approx(math.sqrt(push))
    last = torch.tensor(1e-4, dtype=torch.float64)
    assert float(steps.push[-1]) == pytest.approx(float(path.sigma(last) ** 2 / path.alpha(last)))
    assert float(steps.scale[-1]) == 0.03


class _ExactScores(nn.Module):
    """Of independent nodes N(0.3, 0.5^2) and edges N(1, 0.4^2), in the units of the two predictions."""

    def __init__(self, process):
        super().__init__()
        self.process = process
        self.kind = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, state, time, condition=None):
        out = {}
        for name, noise, mean, std in (
            ("nodes", self.process.nodes, 0.3, 0.5),
            ("edges", self.process.edges, 1.0, 0.4),
        ):
            shape = (-1,) + (1,) * (state[name].ndim - 1)
            alpha, sigma = noise.path.alpha(time).view(shape), noise.path.sigma(time).view(shape)
            score = -(state[name] - alpha * mean) / (alpha**2 * std**2 + sigma**2)
            out[name] = -sigma * score if isinstance(noise.prediction, Epsilon) else score
        return out


@pytest.mark.parametrize("solver", SOLVERS)
def test_with_exact_scores_and_enough_noise_it_samples_the_data_law(solver):
    nodes = GraphNoise(VariancePreserving(0.1, 20.0), Epsilon(), snr=0.1, noise_factor=1.0, floor=1e-3)
    edges = GraphNoise(
        VarianceExploding(0.02, 8.0), Score(), snr=0.1, noise_factor=1.0, floor=1e-3, start_scale=8.0
    )
    process = GraphSDE(3, 1, nodes, edges, 150, solver)
    chain = GraphSDEChain(_ExactScores(process), process)
    draws = sample(chain, 2000, batch_size=2000, generator=generator())
    for leaf, mean, std in (("nodes", 0.3, 0.5), ("edges", 1.0, 0.4)):
        assert abs(float(draws[leaf].mean()) - mean) < 0.04
        assert abs(float(draws[leaf].std()) - std) < 0.04


# -------------------------------------------------------------------------------------------- masks and start


def test_absent_coordinates_stay_zero_and_count_nowhere():
    chain, condition = small_chain(start_steps=2), masks(6)
    states = sample_path(chain, 6, condition=condition, generator=generator())
    for state in states:
        assert (state["nodes"][~condition] == 0).all()
        assert (state["edges"][~pairs_present(condition)] == 0).all()
    first = path_log_prob(chain, states, condition=condition)
    changed = [
        {
            "nodes": torch.where(condition[..., None], s["nodes"], 7.0),
            "edges": torch.where(pairs_present(condition), s["edges"], -7.0),
        }
        for s in states
    ]
    torch.testing.assert_close(path_log_prob(chain, changed, condition=condition), first)


def test_an_untrained_start_changes_nothing_that_is_sampled():
    """The start's steps have no drift, and their variances add up to the start's."""
    chain = small_chain(start_steps=5)
    state = sample_path(chain, 20_000, generator=generator())[5]
    assert abs(float(state["edges"].std()) - 1) < 0.01
    assert abs(float(state["nodes"].mean())) < 0.01
    law = chain.transition(state, 4)
    assert math.isclose(5 * float(law.parts["edges"].scale) ** 2, 1.0, rel_tol=1e-12)
    torch.testing.assert_close(law.parts["edges"].mean, state["edges"])
    frozen_start = GraphSDEChain(chain.network, chain.process)
    ours, theirs = chain.transition(state, 6), frozen_start.transition(state, 1)
    torch.testing.assert_close(ours.parts["nodes"].mean, theirs.parts["nodes"].mean)


def test_the_loss_of_the_exact_network_is_that_of_its_own_uncertainty():
    """E |predicted - noise|^2 is the posterior variance of the noise, averaged over time."""
    process = small_chain().process
    exact = GraphSDEChain(_ExactScores(process), process)
    mean = {"nodes": 0.3, "edges": 1.0}
    std = {"nodes": 0.5, "edges": 0.4}
    shapes = {"nodes": (8000, 4, 2), "edges": (8000, 6)}
    noise = {n: torch.randn(s, generator=generator(1), dtype=torch.float64) for n, s in shapes.items()}
    data = {n: mean[n] + std[n] * noise[n] for n in shapes}
    time = torch.linspace(1e-4, 1, 2001, dtype=torch.float64)
    expected = 0.0
    for name, leaf in process.noises.items():
        signal = leaf.path.alpha(time) ** 2 * std[name] ** 2
        expected += float((signal / (signal + leaf.path.sigma(time) ** 2)).mean())
    found = exact.loss(data, generator=generator(3))
    assert found.shape == (8000,)
    assert abs(float(found.mean()) - expected) < 4 * float(found.std()) / math.sqrt(8000)


def test_a_loss_ignores_what_is_absent_and_trains_the_network():
    chain, condition = small_chain(), masks(5)
    data = {"nodes": torch.ones(5, 4, 2).double(), "edges": torch.ones(5, 6).double()}
    found = chain.loss(data, condition, generator(4))
    data = {
        "nodes": torch.where(condition[..., None], data["nodes"], 9.0),
        "edges": torch.where(pairs_present(condition), data["edges"], 9.0),
    }
    torch.testing.assert_close(chain.loss(data, condition, generator(4)), found)
    found.sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in chain.parameters())


def test_fewer_steps_share_the_networks():
    chain = small_chain(start_steps=2, steps=6)
    process = chain.process
    faster = chain.with_process(GraphSDE(4, 2, process.nodes, process.edges, 3, "predictor-corrector"))
    assert (chain.num_steps, faster.num_steps) == (8, 8)
    assert faster.network is chain.network
    assert faster.start is chain.start
    assert fork(faster).network is not chain.network


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"noise_size": ()}, "noise_size"),
        ({"noise_size": (1.0, 0.0)}, "noise_size"),
        ({"snr": -0.1}, "snr"),
        ({"start_scale": 0.0}, "start_scale"),
    ],
)
def test_bad_noise_is_refused(options, match):
    with pytest.raises(ParameterError, match=match):
        GraphNoise(VarianceExploding(0.2, 1.0), **options)


def test_bad_chains_are_refused():
    with pytest.raises(DeterministicChainError, match="floor"):
        GraphNoise(VarianceExploding(0.2, 1.0), floor=0.0)
    with pytest.raises(ParameterError, match="solver"):
        small_chain(solver="magic")
    with pytest.raises(ParameterError, match="num_steps"):
        small_chain(steps=0)
    chain = small_chain()
    with pytest.raises(ParameterError, match="start_steps"):
        GraphSDEChain(chain.network, chain.process, start_steps=2)


@pytest.mark.parametrize("condition", [torch.ones(2, 4), torch.ones(3, 4).bool(), {"a": torch.ones(2)}])
def test_bad_conditions_are_refused(condition):
    with pytest.raises(ShapeError, match="bool"):
        small_chain().initial(2, condition)
