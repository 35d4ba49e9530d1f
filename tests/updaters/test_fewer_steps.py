"""Training at fewer steps: the same model, a part of the calls, and the fine chain gains."""

from __future__ import annotations

import pytest
import torch
from mixture import MEANS, PRETRAINED, mixture_chain, value

from seiko.chain import frozen, sample
from seiko.chains import DDIM, DiffusionChain, FlowDDIM, Masked
from seiko.errors import ParameterError
from seiko.networks import SequenceMLP
from seiko.schedules import cosine_alpha_bar
from seiko.updaters import FewerSteps, KLPenalty, Objective, RewardBackprop, RewardWeighted


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_levels_and_times_are_those_of_the_finer_process():
    fine = DDIM(cosine_alpha_bar(10), (2,))
    coarse = fine.with_steps(5)
    assert coarse.num_steps == 5
    torch.testing.assert_close(coarse.alpha_bar, fine.alpha_bar[::2])
    like = torch.zeros(())
    for step in range(5):
        assert float(coarse.time(step, like)) == pytest.approx(float(fine.time(2 * step, like)))
    same = fine.with_steps(10)
    assert torch.equal(same.alpha_bar, fine.alpha_bar)
    flow = FlowDDIM(torch.linspace(1, 0.02, 9), (2,)).with_steps(4)
    assert torch.equal(flow.sigmas, torch.linspace(1, 0.02, 9)[::2])
    assert float(flow.time(1, like)) == float(flow.sigmas[1])


def test_the_coarse_chain_samples_the_same_mixture():
    chain = mixture_chain(PRETRAINED)
    coarse = chain.with_process(chain.process.with_steps(8))
    states = sample(coarse, 4000, generator=generator())
    nearest = torch.cdist(states, MEANS).argmin(1).bincount(minlength=3) / 4000
    torch.testing.assert_close(nearest, PRETRAINED[1], atol=0.06, rtol=0)


def _objective(chain):
    return Objective(value, (KLPenalty(frozen(chain), 0.05),))


def test_the_fine_chain_gains_and_the_updater_pays_for_coarse_steps():
    chain = mixture_chain(PRETRAINED)
    calls = []
    chain.network.register_forward_pre_hook(lambda *_: calls.append(1))
    updater = RewardBackprop(
        num_iterations=40,
        batch_size=64,
        learning_rate=3e-3,
        grad_steps=2,
        prefix_kl_steps=0,
        measure_samples=64,
    )
    tuned, report = FewerSteps(updater, 4).update(chain, _objective(chain), generator=generator())
    assert tuned.num_steps == chain.num_steps == 16
    assert len(calls) <= 4 + 40 * (4 + 2) + 2 * 4 + 4  # a look at the noise, the steps, the report
    before, after = (float(value(sample(c, 2000, generator=generator(1))).mean()) for c in (chain, tuned))
    assert after > before + 0.2
    assert report.kl["pretrained"] > 0


def test_a_start_that_is_a_reference_stays_known_as_such():
    chain = mixture_chain(PRETRAINED)
    calls = []
    chain.network.register_forward_pre_hook(lambda *_: calls.append(1))
    updater = RewardWeighted(num_refreshes=1, pool_size=16, fit_iterations=1, batch_size=8, measure_samples=8)
    objective = Objective(value, (KLPenalty(chain, 1.0),))
    FewerSteps(updater, 4).update(chain, objective, generator=generator())
    with_twin = len(calls)
    calls.clear()
    objective = Objective(value, (KLPenalty(frozen(chain), 1.0),))
    FewerSteps(updater, 4).update(chain, objective, generator=generator())
    assert with_twin == len(calls) - 4  # the pool is not compared with what drew it


def test_bad_numbers_and_processes():
    chain = mixture_chain(PRETRAINED)
    for number in (0, 17, 2.5, True):
        with pytest.raises(ParameterError, match="from 1 to 16"):
            FewerSteps(RewardBackprop(), number).update(chain, _objective(chain), generator=generator())
    masked = DiffusionChain(SequenceMLP(3, 5, outputs=4), Masked(length=3, kinds=4))
    with pytest.raises(ParameterError, match="Masked cannot be had in fewer steps"):
        FewerSteps(RewardBackprop(), 2).update(masked, _objective(masked), generator=generator())
