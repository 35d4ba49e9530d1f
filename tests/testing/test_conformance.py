"""Every part of ours is one line in a list; and parts that break a rule are caught."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
import torch
from torch import nn

from chain_families import FAMILIES, condition_of, generator, seeded
from seiko.chain import fork, sample
from seiko.chains import DDIM, DiffusionChain, Epsilon, Masked, one_hot
from seiko.distributions import Categorical, Gaussian
from seiko.domains.base import Domain
from seiko.networks import MolecularGraphNetwork, VectorMLP
from seiko.proposers.base import Proposal
from seiko.schedules import cosine_alpha_bar
from seiko.surrogates import BootstrapEnsemble, GaussianProcess, LastLayerLinear, Training
from seiko.testing import check_chain, check_domain, check_proposer, check_surrogate, check_updater

# ------------------------------------------------------------------------------------------------- chains


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chains(name, dtype):
    check_chain(lambda: FAMILIES[name](1).to(dtype), condition=condition_of(name, 5), batch_size=5)


def _molecules():
    from seiko.chains import Joint

    network = MolecularGraphNetwork(4, 6, node_width=16, pair_width=16, num_layers=2)
    return DiffusionChain(network, Joint({"atoms": Masked(4, 5, 4), "bonds": Masked(6, 4, 4)}))


def test_the_molecular_graph_chain():
    check_chain(lambda: seeded(_molecules, 0).float(), num_paths=128)


def test_a_partly_frozen_chain():
    chain = FAMILIES["ddpm"](1)
    chain.network.into.requires_grad_(False)
    check_chain(lambda: chain)


class _Broken(DiffusionChain):
    """A Gaussian chain with one fault, given as a change of its network's output or of its law."""

    def __init__(self, change_output=None, change_law=None):
        super().__init__(
            VectorMLP(3, width=16, num_layers=1), DDIM(cosine_alpha_bar(4), (3,), prediction=Epsilon())
        )
        self.gain = nn.Parameter(torch.zeros(()))
        self.dropout = nn.Dropout(0.5)
        self.change_output, self.change_law, self.calls = change_output, change_law, 0

    def transition(self, state, step, condition=None):
        time = self.process.time(step, state).expand(len(state))
        output = self.network(state, time, condition)
        if self.change_output is not None:
            output = self.change_output(self, output)
        law = self.process.transition(state, output, step)
        return law if self.change_law is None else self.change_law(self, law)


def _count_calls(chain, output):
    chain.calls += 1
    return output + 0.01 * chain.calls


class _MeanedKL(Gaussian):
    def kl(self, other):
        return super().kl(other) / self.mean.shape[1]


class _UnsummedKL(Gaussian):
    def kl(self, other):
        return (self.mean - other.mean).square()


BROKEN_CHAINS = {
    "rows interact": (lambda c, out: out - out.mean(0), None, "row changes"),
    "batch norm": (
        lambda c, out: nn.functional.batch_norm(out, None, None, training=True),
        None,
        "row changes|mode",
    ),
    "noise depends on weights": (
        None,
        lambda c, law: Gaussian(law.mean, law.scale * c.gain.exp()),
        "noise scale",
    ),
    "dropout": (lambda c, out: c.dropout(out), None, "draws|global random state"),
    "a draw": (lambda c, out: out + torch.randn_like(out), None, "draws|global random state"),
    "a draw that restores the state": (lambda c, out: _quiet_draw(out), None, "global random state"),
    "a counter": (_count_calls, None, "twice"),
    "train and eval differ": (lambda c, out: out if c.training else 2 * out, None, "train and eval"),
    "a deterministic step": (None, lambda c, law: Gaussian(law.mean, torch.zeros(())), "be random"),
    "a divergence that is a mean": (None, lambda c, law: _MeanedKL(law.mean, law.scale), "disagree"),
    "a divergence that is not summed": (
        None,
        lambda c, law: _UnsummedKL(law.mean, law.scale),
        "one number a row",
    ),
    "no gradient": (None, lambda c, law: Gaussian(law.mean.detach(), law.scale), "no gradient"),
    "the network is not used": (lambda c, out: 0 * out, None, "changes no step"),
    "NaN": (lambda c, out: out / 0 * 0, None, "finite|two laws"),
}


def _quiet_draw(out):
    state = torch.get_rng_state()
    noise = torch.randn_like(out)
    torch.set_rng_state(state)
    return out + noise


@pytest.mark.parametrize("name", BROKEN_CHAINS)
def test_broken_chains_are_caught(name):
    change_output, change_law, message = BROKEN_CHAINS[name]
    with pytest.raises(AssertionError, match=message):
        check_chain(lambda: seeded(lambda: _Broken(change_output, change_law), 0).float())


def test_the_chain_under_the_broken_ones_is_good():
    check_chain(lambda: seeded(_Broken, 0).float())


class _LosesSupport(DiffusionChain):
    """Sets unlikely kinds to probability 0, so that the support depends on the weights."""

    def transition(self, state, step, condition=None):
        law = super().transition(state, step, condition)
        kept = torch.where(law.log_probs < law.log_probs.mean(-1, keepdim=True), -torch.inf, law.log_probs)
        return Categorical(kept.log_softmax(-1))


class _SharesWithForks(DiffusionChain):
    def __deepcopy__(self, memo):
        return self


class _IgnoresStepsOfRows(DiffusionChain):
    def transition(self, state, step, condition=None):
        step = step if isinstance(step, int) else int(step[0])
        return super().transition(state, step, condition)


@pytest.mark.parametrize(
    ("kind", "family", "message"),
    [
        (_LosesSupport, "uniform", "support|random and keep"),
        (_SharesWithForks, "ddpm", "changes no step|fork|shares"),
        (_IgnoresStepsOfRows, "ddpm", "integers row by row"),
    ],
)
def test_other_broken_chains_are_caught(kind, family, message):
    good = FAMILIES[family](1)
    with pytest.raises(AssertionError, match=message):
        check_chain(lambda: kind(good.network, good.process))


def test_a_chain_without_trained_weights_is_told_apart():
    chain = FAMILIES["ddpm"](1).requires_grad_(False)
    with pytest.raises(AssertionError, match="requires a gradient"):
        check_chain(lambda: chain)


# --------------------------------------------------------------------------------------------- surrogates

SHORT = Training(num_steps=100)
SURROGATES = {
    "linear": LastLayerLinear(),
    "last layer": LastLayerLinear(hidden=(16,), training=SHORT),
    "bootstrap": BootstrapEnsemble(4, (16,), training=SHORT),
    "matern": GaussianProcess(),
    "tanimoto": GaussianProcess("tanimoto"),
}


@pytest.mark.parametrize("name", SURROGATES)
def test_surrogates(name):
    check_surrogate(SURROGATES[name], dimension=4)


class _Recipe:
    """A linear surrogate with one fault."""

    def __init__(self, fault):
        self.fault = fault

    def fit(self, data, *, generator=None):
        if self.fault == "global draws":
            torch.randn(1)
        if self.fault == "another seed each time":
            generator = torch.Generator()
            generator.seed()
            data = dataclasses.replace(
                data, values=data.values + 0.01 * torch.rand(len(data), generator=generator)
            )
        if self.fault == "standardised units":
            data = dataclasses.replace(data, values=(data.values - data.values.mean()) / data.values.std())
        model = LastLayerLinear().fit(data)
        posterior = model.posterior

        def changed(X, **options):
            if self.fault == "no gradient":
                X = X.detach()
            if self.fault == "sure far away":
                X = torch.where(X > 1, 0.5, X)
            if self.fault == "a squeezed posterior":
                X = X[:, 0]
            if self.fault == "draws in the posterior":
                noise = torch.Generator()
                noise.seed()
                X = X + 0.1 * torch.randn(X.shape, generator=noise, dtype=X.dtype)
            return posterior(X, **options)

        model.posterior = changed
        return model


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("none", ""),
        ("global draws", "torch's global random state"),
        ("another seed each time", "one seed"),
        ("standardised units", "1000"),
        ("no gradient", "gradient"),
        ("sure far away", "far away"),
        ("a squeezed posterior", "posterior's mean must be"),
        ("draws in the posterior", "one seed|draws"),
    ],
)
def test_broken_surrogates_are_caught(fault, message):
    if fault == "none":
        check_surrogate(_Recipe(fault), dimension=4)
        return
    with pytest.raises(AssertionError, match=message):
        check_surrogate(_Recipe(fault), dimension=4)


# ----------------------------------------------------------------------------------------------- updaters


def _updaters():
    from seiko.updaters import PolicyGradient, RewardBackprop, RewardWeighted, SoftQ

    return {
        "backprop": RewardBackprop(num_iterations=40, batch_size=64, learning_rate=3e-3),
        "backprop, two steps": RewardBackprop(
            num_iterations=40, batch_size=64, learning_rate=3e-3, grad_steps=2
        ),
        "policy gradient": PolicyGradient(num_iterations=15, batch_size=128, learning_rate=3e-3),
        "reward weighted": RewardWeighted(
            num_refreshes=4, pool_size=400, fit_iterations=30, learning_rate=3e-3
        ),
        "soft q": SoftQ(num_iterations=60, batch_size=128, num_paths=32, learning_rate=3e-3),
    }


UPDATERS = _updaters()


@pytest.mark.parametrize("name", UPDATERS)
def test_updaters(name):
    check_updater(UPDATERS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", UPDATERS)
@pytest.mark.parametrize("family", ["ddpm", "flow", "absorbing", "uniform"])
def test_updaters_on_other_chains(name, family):
    check_updater(
        UPDATERS[name], make_chain=lambda: FAMILIES[family](1).float(), value=lambda s, _: s.flatten(1)[:, 0]
    )


class _FaultyUpdater:
    def __init__(self, fault):
        self.fault = fault

    def update(self, chain, objective, *, generator):
        source = generator
        if self.fault == "its own seed":
            source = torch.Generator()
            source.seed()
        if self.fault == "the seed is ignored":
            source = torch.Generator().manual_seed(3)
        given = fork(chain) if self.fault == "changes the chain" else chain
        updated, report = UPDATERS["reward weighted"].update(given, objective, generator=source)
        if self.fault == "global draws":
            torch.randn(1)
        if self.fault == "changes the chain":
            with torch.no_grad():
                next(chain.parameters()).mul_(1 + 1e-6)
        if self.fault == "leaves gradients":
            next(chain.parameters()).grad = torch.zeros_like(next(chain.parameters()))
        if self.fault == "returns the chain":
            return chain, report
        if self.fault == "does nothing":
            return fork(chain), report
        if self.fault == "goes down":
            return self._mirrored(chain, updated), report
        if self.fault == "mean divergence":
            return updated, dataclasses.replace(report, kl={name: kl / 9 for name, kl in report.kl.items()})
        return updated, report

    @staticmethod
    def _mirrored(chain, updated):
        with torch.no_grad():
            for ours, theirs in zip(chain.parameters(), updated.parameters(), strict=True):
                theirs.copy_(2 * ours - theirs)
        return updated


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("changes the chain", "changed the chain it was given"),
        ("leaves gradients", "changed the gradients"),
        ("returns the chain", "not a fork"),
        ("does nothing", "changed no weight"),
        ("its own seed", "one generator state"),
        ("the seed is ignored", "no effect"),
        ("global draws", "global random state"),
        ("goes down", "must rise"),
        ("mean divergence", "summed"),
    ],
)
def test_broken_updaters_are_caught(fault, message):
    with pytest.raises(AssertionError, match=message):
        check_updater(_FaultyUpdater(fault))


# ------------------------------------------------------------------------------------ domains and proposers

LETTERS = "ABC"


def letters_domain(**changes) -> Domain[str]:
    """Words of four letters; "A" may not come twice in a row."""
    fields = {
        "name": "letters",
        "decode": lambda state, condition: [
            "".join(LETTERS[k] for k in row) for row in state.argmax(-1).tolist()
        ],
        "features": lambda words: torch.tensor(
            [[float(w == k) for w in word for k in LETTERS] for word in words]
        ),
        "is_valid": lambda word: "AA" not in word and len(word) == 4,
        "key": lambda word: word,
        "to_bytes": str.encode,
        "from_bytes": bytes.decode,
        "render": lambda word: f"<b>{word}</b>",
        "soft_features": lambda state, condition: state.flatten(1),
        "metrics": {"distinct": lambda words: len(set(words)) / len(words)},
        "figures": {"words": lambda words: f"<svg>{words}</svg>" if words else ""},
    }
    return Domain(**fields | changes)


STATES = one_hot(torch.randint(3, (12, 4), generator=generator(1)), 3)


def test_the_letters_domain():
    check_domain(letters_domain(), STATES)


def test_the_molecule_domain():
    pytest.importorskip("rdkit", reason="rdkit is not installed (extra `molecules`)")
    from seiko.domains.molecule import MoleculeGraph, molecule_domain

    graph = MoleculeGraph(num_atoms=5)
    good = graph.one_hot(graph.encode(["CCO", "C1CC1N", "N#CC", "C=O", "FC(F)F"]))
    wild = sample(seeded(lambda: _molecule_chain(graph), 0).float(), 5, generator=generator())
    states = {name: torch.cat([good[name], wild[name]]) for name in good}
    check_domain(molecule_domain(graph), states)


def _molecule_chain(graph):
    from seiko.chains import Joint

    pairs, kinds = graph.num_pairs, graph.num_atom_kinds
    network = MolecularGraphNetwork(graph.num_atoms, kinds, node_width=8, pair_width=8, num_layers=1)
    processes = {"atoms": Masked(graph.num_atoms, kinds - 1, 5), "bonds": Masked(pairs, 4, 5)}
    return DiffusionChain(network, Joint(processes))


BROKEN_DOMAINS = {
    "wrong soft features": (
        {"soft_features": lambda state, condition: 2 * state.flatten(1)},
        "soft_features",
    ),
    "soft features of another width": ({"soft_features": lambda state, _: state[..., 0]}, "soft_features"),
    "soft features without gradient": (
        {"soft_features": lambda state, _: state.detach().flatten(1)},
        "gradient",
    ),
    "bytes that lose a letter": ({"from_bytes": lambda content: content.decode()[:-1] + "B"}, "bytes"),
    "a key that is not canonical": ({"key": lambda word: word[::-1]}, "own key"),
    "a key that is no string": ({"key": lambda word: 3}, "string"),
    "features that are NaN": ({"features": lambda words: torch.full((len(words), 12), torch.nan)}, "finite"),
    "features centred over the designs": (
        {
            "features": lambda w: (lambda f: f - f.mean(0))(letters_domain().features(w)),
            "soft_features": None,
        },
        "other designs",
    ),
    "flat features": ({"features": lambda words: torch.zeros(len(words))}, "floats"),
    "integer features": ({"features": lambda words: torch.zeros(len(words), 12, dtype=torch.long)}, "floats"),
    "one design too few": ({"decode": lambda s, c: letters_domain().decode(s, c)[1:]}, "one design a row"),
    "a verdict that is a number": ({"is_valid": lambda word: 1}, "bool"),
    "a drawing that is bytes": ({"render": lambda word: b"x"}, "markup"),
    "a reason for valid designs": ({"why_invalid": lambda word: "ugly"}, "reason"),
    "global draws": ({"render": lambda word: f"{torch.rand(1)}"}, "global random state"),
    "a metric that is a tensor": ({"metrics": {"x": lambda words: torch.zeros(1)}}, "Metric 'x'"),
    "a figure that is no drawing": ({"figures": {"x": lambda words: str(len(words))}}, "Figure 'x' must be"),
    "always valid, it says": ({"always_valid": True}, "always_valid"),
    "nothing valid": ({"is_valid": lambda word: False}, "None of the states"),
}


@pytest.mark.parametrize("name", BROKEN_DOMAINS)
def test_broken_domains_are_caught(name):
    changes, message = BROKEN_DOMAINS[name]
    with pytest.raises(AssertionError, match=message):
        check_domain(letters_domain(**changes), STATES)


def _draw_words(count, source):
    return letters_domain().decode(one_hot(torch.randint(3, (count, 4), generator=source), 3), None)


def test_random_sampling():
    from seiko.proposers.random import RandomSampling

    check_proposer(lambda: RandomSampling(letters_domain(), _draw_words), letters_domain())


def test_the_genetic_algorithm():
    from seiko.proposers.genetic import GeneticAlgorithm

    def mutate(word, rng):
        place = int(rng.integers(4))
        return word[:place] + LETTERS[int(rng.integers(3))] + word[place + 1 :]

    def crossover(first, second, rng):
        place = int(rng.integers(1, 4))
        return first[:place] + second[place:]

    make = lambda: GeneticAlgorithm(letters_domain(), _draw_words, mutate=mutate, crossover=crossover)  # noqa: E731
    check_proposer(make, letters_domain())


class _FaultyProposer:
    """Random words, with one fault."""

    def __init__(self, fault):
        self.fault, self.calls = fault, 0

    def propose(self, history, num_queries, *, resume, generator):
        self.calls += 1
        domain, words = letters_domain(), []
        if self.fault == "its own seed":
            generator = torch.Generator()
            generator.seed()
        if self.fault == "remembers":
            generator.manual_seed(self.calls)
        if self.fault == "global draws":
            torch.rand(1)
        open_keys = {t.key for t in history.open}
        asked = {"asks again": open_keys, "asks pending": history.keys - open_keys}.get(
            self.fault, history.keys
        )
        # A short alphabet of words makes a repetition certain where it is allowed.
        while len(words) < num_queries:
            for word in sorted(_draw_words(60, generator)):
                fresh = word not in words or self.fault == "duplicates"
                valid = domain.is_valid(word) or self.fault == "invalid"
                if fresh and valid and word not in asked and len(words) < num_queries:
                    words.append(word)
        if self.fault == "one too few":
            words = words[1:]
        if self.fault == "gives some when asked for none":
            words = words or ["ABAB"]
        return Proposal(
            words,
            predictions=[(0.0, -1.0 if self.fault == "negative std" else 1.0)] * len(words),
            artifacts={"memory": "text" if self.fault == "artifacts that are text" else b"bytes"},
            report={"x": {1, 2} if self.fault == "a report that is no JSON" else 1.0},
        )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("none", None),
        ("duplicates", "twice"),
        ("invalid", "invalid"),
        ("asks again", "already asked"),
        ("asks pending", "already asked or are pending"),
        ("one too few", "it gave"),
        ("gives some when asked for none", "Asked for 0"),
        ("its own seed", "another answer"),
        ("remembers", "another answer"),
        ("global draws", "global random state"),
        ("negative std", "std >= 0"),
        ("artifacts that are text", "bytes"),
        ("a report that is no JSON", "JSON"),
    ],
)
def test_broken_proposers_are_caught(fault, message):
    if message is None:
        check_proposer(lambda: _FaultyProposer(fault), letters_domain(), num_queries=6)
        return
    with pytest.raises(AssertionError, match=message):
        check_proposer(lambda: _FaultyProposer(fault), letters_domain(), num_queries=6, num_rounds=4)


def test_importing_the_package_of_the_suites_costs_nothing():
    code = "import sys, seiko, seiko.testing; assert not {'torch', 'numpy', 'botorch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
