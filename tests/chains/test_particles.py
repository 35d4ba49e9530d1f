"""Tempered particles: the weighted law is the tilted one."""

from __future__ import annotations

import math

import pytest
import torch
from test_guided import SPACE, linear, masked_chain

from chain_families import FAMILIES, PaddedGaussians, free_coordinates, generator, seeded
from enumerable import exact_law, tilted, total_variation
from seiko.chain import sample
from seiko.chains.particles import TemperedParticles, systematic
from seiko.errors import NotEnoughDesignsError, ParameterError

SCALE = 1.5


def empirical(particles):
    digits = particles.states[..., :-1].argmax(-1)
    rows = (digits * SPACE.kinds ** torch.arange(SPACE.length - 1, -1, -1)).sum(-1)
    law = torch.zeros(SPACE.kinds**SPACE.length, dtype=torch.float64)
    return law.index_add_(0, rows, particles.weights)


def exact():
    law = exact_law(masked_chain(), SPACE)
    value = linear(SPACE.one_hot(SPACE.designs())).double()
    want = tilted(SCALE * value, (1.0,), (law,))
    return law, want, float((law * (SCALE * value).exp()).sum().log())


@pytest.mark.parametrize("proposal", ["chain", "guided"])
def test_the_weighted_law_becomes_the_tilted_one_as_particles_grow(proposal):
    law, want, log_normaliser = exact()
    sampler = TemperedParticles(masked_chain(), linear, scale=SCALE, proposal=proposal, batch_size=5000)
    runs = [sampler.draw(n, generator=generator(1)) for n in (100, 1500, 25_000)]
    far = [total_variation(empirical(run), want) for run in runs]
    assert total_variation(law, want) > 0.4
    assert far[0] > far[1] > far[2]
    assert far[2] < 0.04
    assert runs[2].log_normaliser == pytest.approx(log_normaliser, abs=0.05)
    assert runs[2].divergence == pytest.approx(float((want * (want / law).log()).sum()), abs=0.05)


@pytest.mark.parametrize("min_effective", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("growth", [1.1, 50.0])
def test_neither_resampling_nor_tempering_moves_the_limit(min_effective, growth):
    sampler = TemperedParticles(
        masked_chain(), linear, scale=SCALE, min_effective=min_effective, growth=growth, batch_size=5000
    )
    particles = sampler.draw(20_000, generator=generator(2))
    assert total_variation(empirical(particles), exact()[1]) < 0.05
    assert particles.num_resampled == {0.0: 0, 1.0: SPACE.length - 1}.get(
        min_effective, particles.num_resampled
    )


def test_what_is_expected_on_the_way_may_be_wrong():
    sampler = TemperedParticles(
        masked_chain(),
        linear,
        scale=SCALE,
        expected_value=lambda state, condition: -linear(state),
        batch_size=5000,
    )
    law = empirical(sampler.draw(40_000, generator=generator(3)))
    assert total_variation(law, exact()[1]) < 0.08


def test_infeasible_states_weigh_nothing():
    def value(state, condition):
        """Only words whose first letter is the first have a value."""
        return torch.where(state[:, 0, 0] > 0.5, linear(state), -math.inf)

    law, _, _ = exact()
    allowed = SPACE.designs()[:, 0] == 0
    values = torch.where(allowed, linear(SPACE.one_hot(SPACE.designs())).double(), -math.inf)
    sampler = TemperedParticles(masked_chain(), value, scale=SCALE, batch_size=5000)
    particles = sampler.draw(30_000, generator=generator(4))
    found = empirical(particles)
    assert float(found[~allowed].sum()) == 0
    assert total_variation(found, (SCALE * values + law.log()).softmax(0)) < 0.06
    states, _ = particles.resampled(500, generator(5))
    assert bool((states[:, 0, 0] > 0.5).all())


def test_no_feasible_particle_is_a_clear_error():
    nothing = TemperedParticles(masked_chain(), lambda state, condition: torch.full((len(state),), -math.inf))
    with pytest.raises(NotEnoughDesignsError, match="particles"):
        nothing.draw(10, generator=generator())


def test_any_gaussian_chain_in_batches():
    """The mean value under particles is that under self-normalised weights of plain samples."""

    def value(state, condition):
        return state.sum(1)

    chain = FAMILIES["ddpm"](0)
    plain = value(sample(chain, 20_000, batch_size=20_000, generator=generator(6)), None)
    want = float(plain @ plain.softmax(0))
    for proposal in ("chain", "guided"):
        sampler = TemperedParticles(chain, value, scale=1.0, proposal=proposal, batch_size=1500)
        particles = sampler.draw(4000, generator=generator(7))
        assert float(particles.weights @ particles.values) == pytest.approx(want, abs=0.12)
        assert want > float(plain.mean()) + 0.4


def test_an_unknown_chain_is_weighted_at_the_end_and_keeps_its_conditions():
    chain = seeded(PaddedGaussians, 0)
    condition = free_coordinates(64)
    sampler = TemperedParticles(
        chain, lambda state, given: state["nodes"].sum((1, 2)), scale=1.0, min_effective=1.0
    )
    particles = sampler.draw(64, condition=condition, generator=generator(8))
    states, given = particles.resampled(200, generator(9))
    assert bool((states["nodes"][~given["nodes"]] == 0).all())
    assert bool((states["nodes"][given["nodes"]] != 0).all())
    assert 0 < particles.effective_share < 1


def test_systematic_draws_floor_or_ceiling():
    weights = torch.tensor([0.0, 0.31, 0.0, 0.55, 0.14, 0.0], dtype=torch.float64)
    counts = torch.stack(
        [torch.bincount(systematic(weights, 10, generator(k)), minlength=6) for k in range(300)]
    ).double()
    assert bool(((counts == (10 * weights).floor()) | (counts == (10 * weights).ceil())).all())
    torch.testing.assert_close(counts.mean(0), 10 * weights, atol=0.1, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": -1.0}, "scale"),
        ({"proposal": "prior"}, "proposal"),
        ({"growth": 1.0}, "growth"),
        ({"min_effective": 1.5}, "min_effective"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_bad_settings_name_the_knob(options, message):
    with pytest.raises(ParameterError, match=message):
        TemperedParticles(masked_chain(), linear, **options)
    with pytest.raises(ParameterError, match="num_particles"):
        TemperedParticles(masked_chain(), linear).draw(1, generator=generator())
