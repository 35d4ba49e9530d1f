"""The conformance suite of domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from seiko import tree
from seiko.domains.base import Domain
from seiko.testing.base import global_state_untouched, require
from seiko.typing import Condition, State


def check_domain(domain: Domain[Any], states: State, *, condition: Condition = None) -> None:
    """Check that a domain keeps the rules of `seiko.domains.base.Domain`.

    Every state decodes to one design; bytes round-trip; keys are canonical; features are finite, one row a
    design; what decode gives is judged, drawn and measured without errors; soft features are the features at
    the corners of the simplex, with gradients.

    Args:
        domain: The domain.
        states: Last states of a chain, at least one of which decodes to a valid design.
        condition: One row a state.

    Raises:
        AssertionError: Saying which rule is broken.
    """
    count = tree.batch_size(states)
    with global_state_untouched("The domain"):
        designs = list(domain.decode(states, condition))
        require(len(designs) == count, f"`decode` must give one design a row, {count}; got {len(designs)}.")
        verdicts = [domain.is_valid(design) for design in designs]
        require(
            all(isinstance(v, bool) for v in verdicts), "`is_valid` must return a bool for anything decoded."
        )
        require(
            all(verdicts) or not domain.always_valid,
            "`always_valid` is said, but not all decoded designs are.",
        )
        valid = [design for design, verdict in zip(designs, verdicts, strict=True) if verdict]
        require(
            valid,
            "None of the states decodes to a valid design, so little can be checked. Give other states.",
        )
        _check_decode(domain, states, condition, designs)
        for design in designs:
            _check_identity(domain, design)
        for design in valid:
            _check_valid(domain, design)
        _check_features(domain, valid)
        _check_metrics(domain, designs)
        _check_figures(domain, valid)
        rows = torch.tensor(verdicts).nonzero()[:, 0]
        given = None if condition is None else tree.index(condition, rows)
        _check_soft_features(domain, tree.index(states, rows), given, valid)


def _check_decode(domain: Domain[Any], states: State, condition: Condition, designs: Sequence[Any]) -> None:
    last = slice(len(designs) - 1, None)
    given = None if condition is None else tree.index(condition, last)
    alone = domain.decode(tree.index(states, last), given)
    require(
        domain.key(alone[0]) == domain.key(designs[-1]),
        "Decoding a row alone gives another design than decoding it among others.",
    )


def _check_identity(domain: Domain[Any], design: Any) -> None:
    key, content = domain.key(design), domain.to_bytes(design)
    require(isinstance(key, str), f"`key` must return a string; got {type(key).__name__}.")
    require(isinstance(content, bytes), f"`to_bytes` must return bytes; got {type(content).__name__}.")
    back = domain.from_bytes(content)
    require(domain.key(back) == key, f"The design {key!r} comes back from bytes as {domain.key(back)!r}.")
    require(
        domain.to_bytes(back) == content, f"The bytes of {key!r} change when they are read and written again."
    )
    require(domain.is_valid(back) == domain.is_valid(design), f"{key!r} changes its validity through bytes.")
    if isinstance(design, str) and domain.is_valid(design):
        require(domain.key(key) == key, f"A key must be its own key; {key!r} becomes {domain.key(key)!r}.")


def _check_valid(domain: Domain[Any], design: Any) -> None:
    reason, drawing = domain.why_invalid(design), domain.render(design)
    require(reason == "", f"A valid design has a reason why it is invalid: {reason!r}.")
    require(
        isinstance(drawing, str) and drawing, f"`render` must return a string of markup; got {drawing!r}."
    )
    require("/" in domain.media_type, f"`media_type` must be like text/plain; got {domain.media_type!r}.")


def _check_features(domain: Domain[Any], valid: Sequence[Any]) -> None:
    features = domain.features(valid)
    require(
        features.ndim == 2 and len(features) == len(valid) and features.is_floating_point(),
        f"`features` must be floats [{len(valid)}, feature]; got {features.dtype} {list(features.shape)}.",
    )
    require(torch.isfinite(features).all(), "A feature is not finite.")
    rounding = 1e-5 * float(features.abs().max())  # a network's sums change their order with the batch
    for row in (0, len(valid) - 1):
        alone = domain.features(valid[row : row + 1])
        require(
            torch.allclose(alone[0], features[row], atol=rounding),
            "The features of a design depend on the other designs.",
        )


def _check_metrics(domain: Domain[Any], designs: Sequence[Any]) -> None:
    for name, metric in domain.metrics.items():
        value = metric(designs)
        require(
            isinstance(value, int | float),
            f"Metric {name!r} must return a number; got {type(value).__name__}.",
        )


def _check_figures(domain: Domain[Any], valid: Sequence[Any]) -> None:
    for name, draw in domain.figures.items():
        for designs in (valid, valid[:1], []):
            drawing = draw(designs)
            require(
                isinstance(drawing, str) and (drawing == "" or drawing.startswith("<svg")),
                f"Figure {name!r} must be an SVG fragment or empty; of {len(designs)} designs it is "
                f"{str(drawing)[:40]!r}.",
            )


def _check_soft_features(
    domain: Domain[Any], corners: State, condition: Condition, valid: Sequence[Any]
) -> None:
    if domain.soft_features is None:
        return
    leaves = tree.tree_map(lambda leaf: leaf.detach().clone().requires_grad_(), corners)
    with torch.enable_grad():
        soft = domain.soft_features(leaves, condition)
    hard = domain.features(valid)
    require(
        soft.shape == hard.shape, f"`soft_features` gives {list(soft.shape)}, `features` {list(hard.shape)}."
    )
    gap = float((soft - hard.to(soft)).detach().abs().max())
    require(
        gap <= 1e-4 * (1 + float(hard.abs().max())),
        f"`soft_features` differs from `features(decode(state))` by {gap:.3g} at the corners.",
    )
    require(soft.requires_grad, "`soft_features` has no gradient.")
    gradients = torch.autograd.grad(
        soft.sum() + soft.square().sum(), list(tree.leaves(leaves)), allow_unused=True
    )
    found = [g for g in gradients if g is not None]
    require(all(torch.isfinite(g).all() for g in found), "The gradient of `soft_features` is not finite.")
    require(any(g.abs().max() > 0 for g in found), "The gradient of `soft_features` is zero.")
