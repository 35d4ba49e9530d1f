"""The conformance suite of updaters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from seiko.chain import frozen, path_kl, sample
from seiko.chains import DiffusionChain, Masked
from seiko.networks import SequenceMLP
from seiko.testing.base import global_state_untouched, require, seeded
from seiko.typing import Condition, State
from seiko.updaters.base import KLPenalty, Objective, Updater


def check_updater(
    updater: Updater,
    *,
    make_chain: Callable[[], Any] | None = None,
    value: Callable[[State, Condition], Tensor] | None = None,
    kl_weight: float = 0.1,
    num_samples: int = 512,
) -> None:
    """Check that an updater keeps the rules of `seiko.updaters.base.Updater`.

    It returns a fork with other weights and leaves the given chain alone to the bit, is deterministic given
    its generator, leaves the global random state alone, increases the objective of an easy problem, and
    reports finite divergences in nats, summed over steps and coordinates.

    Args:
        updater: The updater, with few enough iterations to be run three times.
        make_chain: Makes an unconditional chain; three letters of three kinds if None.
        value: What is maximised; the number of letters of the first kind if None.
        kl_weight: In reward units per nat, to the given chain.
        num_samples: Samples of the checks' own estimates.

    Raises:
        AssertionError: Saying which rule is broken.
    """
    chain: Any = _letters() if make_chain is None else make_chain()
    reference = frozen(chain)
    objective = Objective(value or _count_of_the_first_kind, (KLPenalty(reference, kl_weight),))
    before = _snapshot(chain)
    with global_state_untouched("The updater"):
        updated, report = updater.update(chain, objective, generator=seeded(7))
    _check_untouched(chain, before, "the chain it was given")
    kept = zip(reference.parameters(), chain.parameters(), strict=True)
    require(all(torch.equal(a, b) for a, b in kept), "The updater changed the reference of a penalty.")
    _check_fork(chain, updated)
    _check_deterministic(updater, chain, objective, updated, report)
    _check_improvement(objective, chain, updated, report, num_samples)


def _letters() -> DiffusionChain:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DiffusionChain(SequenceMLP(3, 4, outputs=3, width=32, num_layers=1), Masked(length=3, kinds=3))


def _count_of_the_first_kind(state: State, condition: Condition) -> Tensor:
    assert isinstance(state, Tensor)
    return state[..., 0].sum(1)


def _snapshot(chain: nn.Module) -> dict[str, Any]:
    return {
        "weights": {name: tensor.clone() for name, tensor in chain.state_dict().items()},
        "gradients": {name: p.grad is None for name, p in chain.named_parameters()},
        "trained": {name: p.requires_grad for name, p in chain.named_parameters()},
        "mode": chain.training,
    }


def _check_untouched(chain: nn.Module, before: dict[str, Any], what: str) -> None:
    after = _snapshot(chain)
    weights = after.pop("weights")
    for name, tensor in before["weights"].items():
        require(
            torch.equal(tensor, weights[name]), f"The updater changed {what}, in `{name}`. Work on a fork."
        )
    for key, found in after.items():
        require(found == before[key], f"The updater changed the {key} of {what}. Work on a fork.")


def _check_fork(chain: nn.Module, updated: nn.Module) -> None:
    require(updated is not chain, "The updater returned the chain it was given, not a fork.")
    ours, theirs = dict(chain.named_parameters()), dict(updated.named_parameters())
    require(ours.keys() == theirs.keys(), "The updated chain has other parameters.")
    trained = [name for name, p in ours.items() if p.requires_grad]
    require(not any(ours[n] is theirs[n] for n in trained), "The updated chain shares trained parameters.")
    require(any(not torch.equal(ours[n], theirs[n]) for n in trained), "The update changed no weight.")
    require(
        all(torch.isfinite(p).all() for p in theirs.values()),
        "The updated chain has weights that are not finite.",
    )
    require(any(p.requires_grad for p in theirs.values()), "The updated chain can not be trained on.")


def _check_deterministic(
    updater: Updater, chain: Any, objective: Objective, updated: Any, report: Any
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(4321)
        again, second = updater.update(chain, objective, generator=seeded(7))
    same = all(torch.equal(a, b) for a, b in zip(updated.parameters(), again.parameters(), strict=True))
    require(same, "Two updates from one generator state give other weights.")
    require(second.objective == report.objective, "Two updates from one generator state give other reports.")
    other, _ = updater.update(chain, objective, generator=seeded(8))
    same = all(torch.equal(a, b) for a, b in zip(updated.parameters(), other.parameters(), strict=True))
    require(not same, "The generator's seed has no effect on the update.")


def _check_improvement(objective: Objective, chain: Any, updated: Any, report: Any, num_samples: int) -> None:
    weight, reference = objective.penalties[0].weight, objective.penalties[0].reference
    with torch.no_grad():
        draws = [sample(c, num_samples, generator=seeded(9)) for c in (chain, updated)]
        before, after = (objective.values(states, None) for states in draws)
        kl = path_kl(updated, reference, num_samples, generator=seeded(10))
    gain = float(after.mean() - before.mean()) - weight * float(kl.mean())
    error = float((after.var() + before.var()).sqrt()) / num_samples**0.5
    require(
        gain > 2 * error,
        f"The objective must rise on an easy problem; it changed by {gain:.3g} +- {error:.2g}.",
    )
    require(report.kl.keys() == {p.name for p in objective.penalties}, "`report.kl` must name every penalty.")
    found = report.kl[objective.penalties[0].name]
    require(math.isfinite(found) and found >= 0, f"`report.kl` must be finite and >= 0; got {found}.")
    exact, spread = float(kl.mean()), float(kl.std())
    require(
        abs(found - exact) < 0.2 * exact + 0.5 * spread + 0.02,
        f"`report.kl` is {found:.3g}, but the divergence of the updated chain's paths is {exact:.3g} nats, "
        "summed over steps and coordinates.",
    )
    for name in ("objective", "value", "multiplier"):
        require(math.isfinite(getattr(report, name)), f"`report.{name}` must be finite.")
