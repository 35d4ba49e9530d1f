"""Autoregressive chains: exact laws, remembered or read anew; whole rows in one pass; given positions."""

from __future__ import annotations

import itertools

import pytest
import torch

from seiko.chain import fork, frozen, path_kl, path_log_prob, rollout, sample, sample_path
from seiko.chains.left_to_right import Fixed, LeftToRight, NextKind
from seiko.errors import ParameterError, ShapeError
from seiko.networks import RecurrentSequence
from seiko.testing import check_chain
from seiko.updaters import KLPenalty, Objective, RewardWeighted

KINDS, LENGTH = 4, 5


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_chain(seed: int = 0, length: int = LENGTH, layers: int = 2) -> LeftToRight:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = RecurrentSequence(KINDS, width=12, num_layers=layers, embedding=6)
        torch.nn.init.normal_(network.head.weight, std=1.5)
    return LeftToRight(network.double(), length)


def all_rows(length: int) -> torch.Tensor:
    """Every row that the chain can end at: ended by 0 and padded with 0, or not ended."""
    found = {
        tuple(itertools.chain(row[: row.index(0)], [0] * (length - row.index(0)))) if 0 in row else row
        for row in itertools.product(range(KINDS), repeat=length)
    }
    return torch.tensor(sorted(found))


def test_it_keeps_the_rules_of_chains():
    check_chain(small_chain)
    allowed = torch.rand(4, LENGTH, KINDS, generator=seeded()) < 0.7
    allowed[..., 1] = True
    check_chain(small_chain, condition=allowed)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_probabilities_of_all_rows_sum_to_one(conditional):
    chain, rows = small_chain(length=4), all_rows(4)
    allowed = None
    if conditional:
        allowed = torch.ones(len(rows), 4, KINDS, dtype=torch.bool)
        allowed[:, 0, 1] = allowed[:, 2, 2:] = False
    with torch.no_grad():
        probs = (-chain.loss(rows, allowed)).exp()
    assert float(probs.sum()) == pytest.approx(1, abs=1e-12)
    if conditional:
        assert (probs[rows[:, 0] == 1] == 0).all() and (probs[rows[:, 2] >= 2] == 0).all()


def test_the_loss_is_the_density_of_the_path():
    chain = small_chain(1)
    states = sample_path(chain, 64, generator=seeded())
    with torch.no_grad():
        torch.testing.assert_close(-chain.loss(states[-1]), path_log_prob(chain, states).sum(1))


def test_samples_follow_the_density():
    chain, rows = small_chain(2, length=3), all_rows(3)
    drawn = sample(chain, 20_000, batch_size=20_000, generator=seeded())
    counts = (drawn[:, None] == rows).all(2).double().mean(0)
    with torch.no_grad():
        probs = (-chain.loss(rows)).exp()
    assert float(counts.sum()) == 1
    assert ((counts - probs).abs() < 5 * (probs * (1 - probs) / 20_000).sqrt() + 1e-4).all()


def test_the_path_divergence_is_that_of_the_rows():
    ours, theirs, rows = small_chain(1, length=3), small_chain(2, length=3), all_rows(3)
    with torch.no_grad():
        log_p, log_q = -ours.loss(rows), -theirs.loss(rows)
    exact = float((log_p.exp() * (log_p - log_q)).sum())
    estimate = path_kl(ours, theirs, 4000, generator=seeded())
    error = float(estimate.std()) / 4000**0.5
    assert abs(float(estimate.mean()) - exact) < 5 * error


def test_after_the_end_nothing_else_can_stand():
    chain = small_chain()
    state = torch.tensor([[2, 0, KINDS, KINDS, KINDS], [2, 1, KINDS, KINDS, KINDS]])
    law = chain.transition(state, 2)
    assert law.log_probs[0].tolist() == [0.0, *[-torch.inf] * (KINDS - 1)]
    assert torch.isfinite(law.log_probs[1]).all()


def test_what_is_remembered_changes_no_bit():
    chain = small_chain()
    states = sample_path(chain, 8, generator=seeded())
    with torch.no_grad():
        fresh = [fork(chain).transition(state, k).log_probs for k, state in enumerate(states[:-1])]
        onward = [chain.transition(state, k).log_probs for k, state in enumerate(states[:-1])]
        backward = [chain.transition(states[k], k).log_probs for k in reversed(range(LENGTH))][::-1]
        others = sample_path(chain, 8, generator=seeded(5))
        mixed = []
        for k, (ours, theirs) in enumerate(zip(states[:-1], others[:-1], strict=True)):
            chain.transition(theirs, k)
            mixed.append(chain.transition(ours, k).log_probs)
    for k in range(LENGTH):
        assert all(torch.equal(fresh[k], again[k]) for again in (onward, backward, mixed))


def test_new_weights_are_never_answered_from_memory():
    chain = small_chain()
    states = sample_path(chain, 8, generator=seeded())
    optimizer = torch.optim.Adam(chain.parameters(), lr=0.1)
    with torch.no_grad():
        chain.transition(states[2], 2)
    chain.loss(states[-1]).mean().backward()
    optimizer.step()
    with torch.no_grad():
        assert torch.equal(
            chain.transition(states[3], 3).log_probs, fork(chain).transition(states[3], 3).log_probs
        )
        chain.float()
        assert chain.transition(states[3], 3).log_probs.dtype == torch.float32


def test_steps_with_gradients_give_the_same_laws():
    chain = small_chain()
    states = sample_path(chain, 8, generator=seeded())
    for step in rollout(chain, states=states, grad_steps="all"):
        with torch.no_grad():
            known = chain.transition(step.state, step.index)
        torch.testing.assert_close(step.transition.log_probs, known.log_probs)


def test_the_gradient_of_the_density_is_that_of_the_loss():
    chain = small_chain()
    states = sample_path(chain, 8, generator=seeded())
    parameters = list(chain.parameters())
    by_step = torch.autograd.grad(-path_log_prob(chain, states, grad_steps="all").sum(), parameters)
    at_once = torch.autograd.grad(chain.loss(states[-1]).sum(), parameters)
    torch.testing.assert_close(by_step, at_once)


def test_a_rollout_reads_each_kind_once(monkeypatch):
    chain, reads = small_chain(length=8), []
    read = chain.network.read
    monkeypatch.setattr(
        chain.network, "read", lambda state, kinds: (reads.append(len(kinds)), read(state, kinds))[1]
    )
    drawn = sample(chain, 16, generator=seeded())
    lengths = (drawn != 0).sum(1)
    assert sum(reads) == 16 + int(lengths.clamp_max(7).sum())


def test_a_given_beginning_is_kept_and_the_rest_is_the_chains():
    chain = small_chain(length=4)
    allowed = torch.ones(1, 4, KINDS, dtype=torch.bool)
    allowed[0, 0] = torch.tensor([False, False, True, False])
    drawn = sample(chain, 5000, condition=allowed.expand(5000, -1, -1), generator=seeded(), batch_size=5000)
    rows = all_rows(4)
    rows = rows[rows[:, 0] == 2]
    with torch.no_grad():
        probs = (-chain.loss(rows)).softmax(0)
    counts = (drawn[:, None] == rows).all(2).double().mean(0)
    assert ((counts - probs).abs() < 5 * (probs / 5000).sqrt() + 1e-3).all()


class Counted:
    """The end only after an even number of 1s, and 3 never first."""

    def before(self, rows: torch.Tensor) -> torch.Tensor:
        ones = torch.nn.functional.pad((rows == 1).cumsum(1), (1, 0))
        return torch.stack([ones, torch.arange(rows.shape[1] + 1).expand_as(ones)], 2)

    def allowed(self, before: torch.Tensor) -> torch.Tensor:
        fits = torch.ones(len(before), KINDS, dtype=torch.bool)
        fits[:, 0], fits[:, 3] = before[:, 0] % 2 == 0, before[:, 1] > 0
        return fits


def test_a_grammar_restricts_every_law():
    chain = LeftToRight(small_chain(length=4).network, 4, Counted())
    check_chain(lambda: LeftToRight(small_chain(length=4).network, 4, Counted()))
    rows = all_rows(4)
    with torch.no_grad():
        probs = (-chain.loss(rows)).exp()
    ended = (rows == 0).any(1)
    odd = ended & ((rows == 1).sum(1) % 2 == 1)
    assert float(probs.sum()) == pytest.approx(1, abs=1e-12)
    assert (probs[odd] == 0).all() and (probs[rows[:, 0] == 3] == 0).all() and (probs > 0).sum() > 50
    states = sample_path(chain, 200, generator=seeded())
    with torch.no_grad():
        torch.testing.assert_close(-chain.loss(states[-1]), path_log_prob(chain, states).sum(1))
    nothing = torch.ones(200, 4, KINDS, dtype=torch.bool)
    nothing[:, 0] = torch.tensor([False, False, False, True])
    with pytest.raises(ParameterError, match="allows no kind at position 0"):
        sample(chain, 200, condition=nothing, generator=seeded())


def test_reward_weighted_reaches_the_closed_form():
    """The maximum of the objective is p exp(value / w), here summed over all rows."""
    chain, rows = small_chain(3, length=3), all_rows(3)
    value = lambda state, condition=None: (state == 2).sum(1).double()  # noqa: E731
    objective = Objective(value, (KLPenalty(frozen(chain), 1.0),), differentiable=False)
    updater = RewardWeighted(
        num_refreshes=6, pool_size=3000, fit_iterations=60, learning_rate=1e-2, likelihood="denoising"
    )
    tuned, report = updater.update(chain, objective, generator=seeded())
    with torch.no_grad():
        wanted = (-chain.loss(rows) + value(rows)).softmax(0)
        found = (-tuned.loss(rows)).exp()
    before = float((wanted * (wanted.log() + chain.loss(rows).detach())).sum())
    after = float((wanted * (wanted.log() - found.log())).sum())
    assert after < 0.03 < before
    assert report.feasible == 1


def test_bad_input_is_refused():
    with pytest.raises(ParameterError, match="`length`"):
        LeftToRight(RecurrentSequence(KINDS, width=4), 0)
    with pytest.raises(ParameterError, match="kinds >= 2"):
        RecurrentSequence(1)
    chain = small_chain()
    nothing = torch.ones(2, LENGTH, KINDS, dtype=torch.bool)
    nothing[1, 0] = False
    with pytest.raises(ParameterError, match="row 1 allows no kind at position 0"):
        next(rollout(chain, 2, condition=nothing, generator=seeded()))
    law = NextKind(torch.zeros(2, KINDS).log_softmax(-1), torch.full((2, 3), KINDS), torch.tensor([0, 1]))
    with pytest.raises(ShapeError, match=r"\[2, 3\]"):
        law.log_prob(torch.zeros(2, 2, dtype=torch.int64))


def test_laws_of_different_positions_are_infinitely_far():
    state = torch.full((1, 3), KINDS)
    log_probs = torch.zeros(1, KINDS).log_softmax(-1)
    first, second = (NextKind(log_probs, state, torch.tensor([k])) for k in (0, 1))
    assert first.kl(second) == torch.inf and first.kl(first) == 0
    assert first.log_prob(torch.tensor([[KINDS, 1, KINDS]])) == -torch.inf
    assert first.log_prob(state) == -torch.inf
    fixed = Fixed(state)
    assert fixed.kl(Fixed(state + 1)) == torch.inf and fixed.log_prob(state) == 0


def test_variations_keep_a_beginning_and_follow_the_law_given_it():
    chain, rows = small_chain(2, length=4), all_rows(4)
    parent = torch.tensor([[2, 1, 3, 0]])
    (drawn, given), *more = chain.variations(parent.expand(20_000, -1), generator=seeded())
    assert given is None and not more
    with torch.no_grad():
        likelihood = (-chain.loss(rows)).exp()
    probs = torch.zeros(len(rows), dtype=torch.float64)
    for kept in (2, 3):  # of four kinds two or one are written anew, as often the one as the other
        same = (rows[:, :kept] == parent[:, :kept]).all(1)
        probs += 0.5 * same * likelihood / likelihood[same].sum()
    counts = (drawn[:, None] == rows).all(2).double().mean(0)
    assert ((counts - probs).abs() < 5 * (probs * (1 - probs) / 20_000).sqrt() + 1e-4).all()


def test_variations_obey_a_condition_even_where_the_parent_does_not():
    allowed = torch.ones(300, LENGTH, KINDS, dtype=torch.bool)
    allowed[:, 1, 2] = False
    parent = torch.tensor([[2, 2, 3, 1, 0]]).expand(300, -1)
    ((drawn, given),) = small_chain().variations(parent, allowed, seeded())
    assert given is allowed
    assert (drawn[:, 0] == 2).all() and (drawn[:, 1] != 2).all()


def test_variations_keep_no_more_than_fits_the_grammar():
    chain = LeftToRight(small_chain().network, LENGTH, Counted())
    parents = torch.tensor([[3, 2, 2, 2, 0], [2, 1, 2, 0, 0]]).repeat(100, 1)  # 3 first; an odd number of 1s
    ((drawn, _),) = chain.variations(parents, generator=seeded())
    assert (drawn[:, 0] != 3).all() and (drawn[1::2, 0] == 2).all()
    with torch.no_grad():
        assert torch.isfinite(chain.loss(drawn)).all()


def test_longer_parents_are_cut_to_the_steps_of_the_chain():
    short = LeftToRight(small_chain().network, 3)
    ((drawn, _),) = short.variations(torch.tensor([[2, 1, 3, 1, 0]]).expand(50, -1), generator=seeded())
    assert drawn.shape == (50, 3) and (drawn[:, 0] == 2).all()


def test_a_row_goes_on_to_what_is_given_further_on():
    chain = small_chain()
    allowed = torch.ones(400, LENGTH, KINDS, dtype=torch.bool)
    allowed[:, 3] = torch.tensor([False, False, True, False])
    drawn = sample(chain, 400, condition=allowed, generator=seeded())
    assert (drawn[:, 3] == 2).all() and (drawn[:, 4] == 0).any()
    with torch.no_grad():
        lost = chain.loss(torch.tensor([[1, 2, 0, 0, 0], [1, 2, 1, 2, 0]]), allowed[:2])
        rows = all_rows(LENGTH)
        probs = (-chain.loss(rows, allowed[:1].expand(len(rows), -1, -1))).exp()
    assert torch.isinf(lost[0]) and torch.isfinite(lost[1])
    assert float(probs.sum()) == pytest.approx(1, abs=1e-12)


class Short:
    """Nothing but the end after the first kind."""

    def before(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.arange(rows.shape[1] + 1).expand(len(rows), -1)

    def allowed(self, before: torch.Tensor) -> torch.Tensor:
        fits = torch.ones(len(before), KINDS, dtype=torch.bool)
        fits[:, 1:] = (before == 0)[:, None]
        return fits


def test_a_row_ends_before_what_is_given_where_the_grammar_leaves_nothing_else():
    chain = LeftToRight(small_chain().network, LENGTH, Short())
    allowed = torch.ones(50, LENGTH, KINDS, dtype=torch.bool)
    allowed[:, 3] = torch.tensor([False, False, True, False])
    drawn = sample(chain, 50, condition=allowed, generator=seeded())
    assert (drawn[:, 0] != 0).all() and (drawn[:, 1:] == 0).all()
