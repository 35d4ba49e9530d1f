from __future__ import annotations

import pytest
import torch

from chain_families import FAMILIES, generator
from seiko import tree
from seiko.chain import sample_path
from seiko.chains import DDIM, DiffusionChain, Joint, Masked, one_hot
from seiko.errors import ParameterError
from seiko.networks import MolecularGraphNetwork
from seiko.schedules import cosine_alpha_bar


def test_a_joint_step_is_the_product_of_its_leaves():
    chain = FAMILIES["mixed"](1)
    state = sample_path(chain, 4, generator=generator())[1]
    law = chain.transition(state, 1)
    time = chain.process.time(1, state["types"]).expand(4)
    prediction = chain.network(state, time)
    following = law.sample(generator(1))
    total = 0
    for name, process in chain.process.processes.items():
        total = total + process.transition(state[name], prediction[name], 1).log_prob(following[name])
    torch.testing.assert_close(law.log_prob(following), total)


def test_a_joint_loss_is_the_sum_of_its_leaves():
    chain = FAMILIES["mixed"](1)
    step = torch.tensor([0, 1, 2])
    data = {
        "types": one_hot(torch.tensor([[0, 1, 1]] * 3), 2, torch.float64),
        "positions": torch.randn(3, 3, 2, generator=generator(), dtype=torch.float64),
    }
    state = chain.process.corrupt(data, step, generator(1))
    prediction = chain.network(state, chain.process.time(step, state["types"]))
    parts = [
        process.loss(prediction[name], data[name], state[name], step)
        for name, process in chain.process.processes.items()
    ]
    torch.testing.assert_close(chain.process.loss(prediction, data, state, step), parts[0] + parts[1])
    assert chain.loss(data, generator=generator()).shape == (3,)


def test_leaves_with_other_numbers_of_steps_are_refused():
    with pytest.raises(ParameterError, match="num_steps"):
        Joint({"types": Masked(3, 2), "positions": DDIM(cosine_alpha_bar(4), (3, 2))})
    with pytest.raises(ParameterError, match="num_steps"):
        Joint({})


def test_time_is_that_of_the_named_leaf():
    leaves = {"a": Masked(4, 2, counts=torch.tensor([3, 1])), "b": Masked(4, 2, counts=torch.tensor([1, 3]))}
    like = torch.zeros(1)
    assert float(Joint(leaves).time(1, like)) == 0.25
    assert float(Joint(leaves, time_of="b").time(1, like)) == 0.75
    with pytest.raises(ParameterError, match="time_of"):
        Joint(leaves, time_of="c")


def test_the_molecular_graph_network_fits_a_joint_chain():
    network = MolecularGraphNetwork(4, 4, bond_kinds=5, node_width=8, pair_width=8, num_layers=1).double()
    chain = DiffusionChain(network, Joint({"atoms": Masked(4, 3, 4), "bonds": Masked(6, 4, 4)}))
    states = sample_path(chain, 3, generator=generator())
    assert {name: tuple(leaf.shape) for name, leaf in states[-1].items()} == {
        "atoms": (3, 4, 4),
        "bonds": (3, 6, 5),
    }
    assert all((leaf[..., -1] == 0).all() for leaf in tree.leaves(states[-1]))
