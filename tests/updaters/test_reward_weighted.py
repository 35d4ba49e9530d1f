"""Reward-weighted updates: the weights, infeasible samples, the control variate and its errors."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from test_policy_gradient import all_paths, gradient, log_probs, tiny_chain

from chain_families import FAMILIES
from enumerable import masked_problem
from seiko.chain import frozen, sample
from seiko.domains.sequence import DNA, SequenceSpace
from seiko.errors import NotEnoughDesignsError, ParameterError
from seiko.updaters import KLPenalty, KLTarget, Objective, RewardWeighted, pools
from seiko.updaters.pools import Pool
from seiko.updaters.reward_weighted import _corrected, _largest_step, path_loss
from seiko.updaters.training import Paths
from seiko.zoo.sequences import uniform_sequences

SMALL = RewardWeighted(num_refreshes=3, pool_size=500, fit_iterations=30, learning_rate=3e-3)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def without_first_kind(value):
    """The value, -inf where the first position has kind 0."""
    return lambda state, condition: torch.where(state[:, 0, 0] > 0.5, -math.inf, value(state, condition))


def pool(values, ratio):
    return Pool(Paths(torch.zeros(2, len(values)), values), {"pretrained": ratio}, {"pretrained": ratio})


def test_weights_are_the_closed_form_over_the_current_law():
    values, ratio = torch.tensor([0.3, -0.1, 0.4]), torch.tensor([0.1, 0.2, -0.3])
    objective = Objective(lambda s, c: values, (KLPenalty(None, 0.5),))
    weights, multiplier, step = SMALL._weigh(pool(values, ratio), objective, 2.0)
    torch.testing.assert_close(weights, (values / 1.0 + ratio).softmax(0))
    assert multiplier == 2.0 and step == 1.0


def test_infeasible_rows_weigh_nothing():
    values, ratio = torch.tensor([0.3, -math.inf, 0.4, -math.inf]), torch.zeros(4)
    objective = Objective(lambda s, c: values, (KLPenalty(None, 0.01),))
    weights, _, step = SMALL._weigh(pool(values, ratio), objective, 1.0)
    assert weights[1] == 0 and weights[3] == 0 and float(weights.sum()) == pytest.approx(1.0)
    assert 0 < step <= 1


def test_the_step_keeps_the_effective_sample_size():
    logs = torch.randn(1000, generator=generator()) * 8
    step = _largest_step(torch.cat([logs, torch.full((500,), -math.inf)]), 0.3)
    weights = (step * logs).softmax(0)
    assert 0 < step < 1
    assert float(1 / weights.square().sum() / 1000) == pytest.approx(0.3, abs=1e-4)
    assert _largest_step(torch.zeros(10), 0.3) == 1.0


def test_weights_are_clipped():
    values = torch.cat([torch.full((999,), 0.0), torch.tensor([9.0])])
    updater = RewardWeighted(min_effective=1e-4, max_weight=20.0)
    objective = Objective(lambda s, c: values, (KLPenalty(None, 1.0),))
    weights, _, step = updater._weigh(pool(values, torch.zeros(1000)), objective, 1.0)
    plain = values.softmax(0)
    assert step == 1.0 and plain[-1] > 0.5
    assert float(weights[-1] / weights[0]) == pytest.approx(float(0.02 / plain[0]), rel=1e-4)


def test_the_weighted_pool_has_the_wanted_divergence():
    values, ratio = torch.randn(4000, generator=generator()), torch.zeros(4000)
    target = KLTarget(0.7)
    objective = Objective(lambda s, c: values, (KLPenalty(None, 0.5),), target=target)
    _weights, multiplier, _step = SMALL._weigh(pool(values, ratio), objective, 1.0)
    full = (values / (0.5 * multiplier)).softmax(0)
    assert float((full * (4000 * full).log()).sum()) == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("likelihood", ["path", "denoising"])
def test_feasible_fraction_rises(likelihood):
    problem = masked_problem(4)
    objective = Objective(without_first_kind(problem.value), (KLPenalty(frozen(problem.pretrained), 0.5),))
    updater = RewardWeighted(
        num_refreshes=4, pool_size=1000, fit_iterations=40, learning_rate=3e-3, likelihood=likelihood
    )
    updated, report = updater.update(problem.pretrained, objective, generator=generator())
    before = sample(problem.pretrained, 1000, generator=generator(1))
    after = sample(updated, 1000, generator=generator(1))
    assert (before[:, 0, 0] < 0.5).float().mean() < 0.9
    assert (after[:, 0, 0] < 0.5).float().mean() > 0.97
    assert report.feasible > 0.95 and math.isfinite(report.objective)


def test_refuses_a_pool_without_feasible_designs():
    problem = masked_problem(4)
    nothing = Objective(
        lambda state, condition: torch.full((len(state),), -math.inf), (KLPenalty(problem.pretrained, 0.5),)
    )
    with pytest.raises(NotEnoughDesignsError, match="None of 500 samples"):
        SMALL.update(problem.pretrained, nothing, generator=generator())


@pytest.mark.parametrize("weights", [(), (0.0,), (0.0, 0.0)])
def test_refuses_weights_whose_sum_is_0(weights):
    problem = masked_problem(4)
    penalties = tuple(KLPenalty(problem.previous, w, str(i)) for i, w in enumerate(weights))
    with pytest.raises(ParameterError, match="sum is > 0"):
        SMALL.update(problem.pretrained, Objective(problem.value, penalties), generator=generator())


def test_refuses_denoising_without_a_loss():
    chain = FAMILIES["padded-gaussians"](0)
    updater = RewardWeighted(likelihood="denoising")
    condition = {"nodes": torch.ones(1, 3, 2).bool(), "edges": torch.ones(1, 3).bool()}
    objective = Objective(
        lambda s, c: s["nodes"].sum((1, 2)),
        (KLPenalty(frozen(chain), 1.0),),
        condition=lambda n, g: {name: leaf.expand(n, *leaf.shape[1:]) for name, leaf in condition.items()},
    )
    with pytest.raises(ParameterError, match="denoising"):
        updater.update(chain, objective, generator=generator())


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("likelihood", "elbo"),
        ("min_effective", 0.0),
        ("min_effective", 1.0),
        ("ema_decay", 1.0),
        ("reuse", 0),
        ("baseline", 1.5),
    ],
)
def test_refuses_settings(name, given):
    with pytest.raises(ParameterError, match=name):
        RewardWeighted(**{name: given})


def test_weighted_pool_reports_its_effective_sample_size():
    problem = masked_problem(4)
    objective = Objective(problem.value, (KLPenalty(frozen(problem.pretrained), 0.05),))
    _, report = SMALL.update(problem.pretrained, objective, generator=generator())
    assert [set(row) for row in report.trace] == [
        {"effective_sample_size", "step", "multiplier", "value", "kl/pretrained"}
    ] * 3
    assert report.trace[0]["step"] < 1  # so sharp a target is approached in tempered steps
    assert report.trace[0]["effective_sample_size"] == pytest.approx(0.3, abs=0.02)
    assert report.trace[0]["kl/pretrained"] == pytest.approx(0.0, abs=1e-5)
    assert report.trace[-1]["kl/pretrained"] > report.trace[1]["kl/pretrained"] > 0.1


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_control_variate_keeps_the_gradient(share):
    """Over all paths of the law that drew them, the gradient does not depend on the share."""
    chain, old, paths = tiny_chain(2, 0), frozen(tiny_chain(2, 1)), all_paths(2)
    probs = log_probs(old, paths).exp().detach()
    weights = torch.rand(len(probs), generator=generator(), dtype=torch.float64)

    def total(share):
        rows = torch.arange(len(probs))
        steps = [torch.full_like(rows, k) for k in range(chain.num_steps)]
        losses = [path_loss(chain, old, paths, (k, rows), weights, share) for k in steps]
        return (probs * torch.stack(losses).sum(0)).sum()

    likelihood = -(probs * weights * log_probs(chain, paths)).sum()
    plain, controlled = gradient(chain, total(0.0)), gradient(chain, total(share))
    torch.testing.assert_close(plain, gradient(chain, likelihood), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(controlled, plain, rtol=1e-8, atol=1e-10)


def test_control_variate_leaves_no_noise_at_equal_weights():
    chain, paths = tiny_chain(2, 0), all_paths(2)
    pairs = torch.tensor([0, 1, 1]), torch.tensor([2, 3, 0])
    loss = path_loss(chain, frozen(chain), paths, pairs, torch.ones(3).double(), 1.0)
    assert gradient(chain, loss.sum()).abs().max() < 1e-12


def test_hands_over_the_average_of_the_fits():
    """The same fits: their average lies nearer to where they began than the last of them."""
    problem = masked_problem(4)
    objective = Objective(problem.value, (KLPenalty(frozen(problem.pretrained), 0.2),))
    once = replace(SMALL, num_refreshes=1)
    last, _ = once.update(problem.pretrained, objective, generator=generator())
    mean, _ = replace(once, ema_decay=0.9).update(problem.pretrained, objective, generator=generator())
    same, _ = replace(once, ema_decay=1e-9).update(problem.pretrained, objective, generator=generator())
    start, end, average, young = (
        torch.cat([p.detach().flatten() for p in chain.parameters()])
        for chain in (problem.pretrained, last, mean, same)
    )
    torch.testing.assert_close(young, end)
    assert 0.5 * (end - start).norm() < (average - start).norm() < 0.995 * (end - start).norm()
    assert torch.nn.functional.cosine_similarity(average - start, end - start, dim=0) > 0.99


PRETRAINED = RewardWeighted(
    pools="pretrained", num_refreshes=2, pool_size=300, fit_iterations=5, batch_size=32, measure_samples=50
)


def drawn_pools(monkeypatch):
    """The sizes of all pools that are drawn from now on."""
    sizes, draw = [], pools.draw_pool

    def counted(chain, objective, size, **others):
        sizes.append(size.num_paths)
        return draw(chain, objective, size, **others)

    monkeypatch.setattr(pools, "draw_pool", counted)
    return sizes


def test_the_divergence_of_weighted_samples_is_told_where_the_target_is_of_these():
    problem = masked_problem(4)
    objective = Objective(problem.value, (KLPenalty(frozen(problem.pretrained), 0.5),), target=KLTarget(0.8))
    for where, nats in {"pretrained": pytest.approx(0.8), "current": None}.items():
        updater = replace(PRETRAINED, pools=where, min_effective=0.01)
        report = updater.update(problem.pretrained, objective, generator=generator())[1]
        assert report.weighted_nats == nats


def test_a_calibrated_chain_itself_ends_near_the_target():
    chain = uniform_sequences(SequenceSpace(DNA, 6))
    slopes = torch.randn(6, 5, generator=generator())
    objective = Objective(
        lambda state, condition: (state * slopes).sum((1, 2)) + 3 * (state[:, 0] == state[:, 5]).all(-1),
        (KLPenalty(frozen(chain), 0.5),),
        target=KLTarget(3.0),
    )
    short = RewardWeighted(
        num_refreshes=5, pool_size=500, fit_iterations=20, batch_size=128, learning_rate=5e-4,
        likelihood="denoising", measure_samples=1000,
    )  # fmt: skip
    plain, calibrated = (
        replace(short, calibrate=chosen).update(chain, objective, generator=generator())[1].kl["pretrained"]
        for chosen in (False, True)
    )
    assert plain < 2.6 and abs(calibrated - 3.0) < 0.6 * abs(plain - 3.0)
    with pytest.raises(ParameterError, match="calibrate"):
        RewardWeighted(calibrate=True, pools="pretrained")


@pytest.mark.parametrize(
    ("fitted_to", "reached", "aim"),
    [(2.0, 1.6, 2.4), (0.7, 0.6, 2.1), (2.0, 2.3, 1.7), (2.0, 0.1, 3.0), (2.0, 9.0, 1.0)],
)
def test_the_aim_lies_beside_the_target_by_what_the_fit_lost(fitted_to, reached, aim):
    drawn = pool(torch.zeros(10), torch.full((10,), -reached))
    assert _corrected(KLTarget(2.0), fitted_to, drawn).nats == pytest.approx(aim)


@pytest.mark.parametrize("likelihood", ["path", "denoising"])
def test_pretrained_pools_are_drawn_once_for_a_campaign(monkeypatch, likelihood):
    problem, sizes = masked_problem(4), drawn_pools(monkeypatch)
    updater = replace(PRETRAINED, likelihood=likelihood)
    reference = frozen(problem.pretrained)
    objective = Objective(problem.value, (KLPenalty(reference, 0.5),), seed=3)
    first, report = updater.update(problem.pretrained, objective, generator=generator())
    assert sizes == [300, 300]  # one for each refresh
    doubled = replace(objective, value=lambda state, condition: 2 * problem.value(state, condition))
    _, later = updater.update(first, doubled, generator=generator(1))
    longer = replace(updater, fit_iterations=7)  # shares them
    again, _ = longer.update(first, objective, generator=generator(2))
    assert sizes == [300, 300]
    for before, after in zip(report.trace, later.trace, strict=True):
        assert after["value"] == pytest.approx(2 * before["value"], rel=1e-5)  # the same paths, valued anew

    # another process has nothing in memory, and gets the same
    fresh = replace(objective, penalties=(KLPenalty(frozen(problem.pretrained), 0.5),))
    same, _ = longer.update(first, fresh, generator=generator(2))
    assert sizes == [300] * 4
    for one, other in zip(same.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_another_campaign_has_pools_of_its_own(monkeypatch):
    problem, sizes = masked_problem(4), drawn_pools(monkeypatch)
    objective = Objective(problem.value, (KLPenalty(frozen(problem.pretrained), 0.5),), seed=3)
    _, one = PRETRAINED.update(problem.pretrained, objective, generator=generator())
    _, other = PRETRAINED.update(problem.pretrained, replace(objective, seed=40), generator=generator())
    assert len(sizes) == 4 and one.trace[0]["value"] != other.trace[0]["value"]
    assert {key[0] for key in pools._KEPT[objective.penalties[0].reference]} == {40}


def test_pools_that_are_compared_with_the_previous_round_are_drawn_anew(monkeypatch):
    problem, sizes = masked_problem(4), drawn_pools(monkeypatch)
    penalties = (KLPenalty(frozen(problem.pretrained), 0.5), KLPenalty(problem.previous, 0.5, "previous"))
    for _ in range(2):
        PRETRAINED.update(problem.pretrained, Objective(problem.value, penalties), generator=generator())
    assert sizes == [300] * 4
