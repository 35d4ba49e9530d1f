"""Finite worlds with linear reward: families of designs, the best of them rare under the pre-trained law."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seiko.errors import ParameterError
from seiko.theory.laws import Array, normalised


@dataclass(frozen=True)
class World:
    """A finite space of designs.

    Attributes:
        features: What the learner sees, [design, feature].
        reward: The truth, [design].
        log_pretrained: Logarithms of the pre-trained law, [design].
        norm: Length of the weights of the reward in the world's own features.
        noise_std: Standard deviation of one reading, in reward units.
    """

    features: Array
    reward: Array
    log_pretrained: Array
    norm: float
    noise_std: float


def rare_family(
    generator: np.random.Generator,
    *,
    num_families: int = 6,
    designs_each: int = 60,
    traits: int = 2,
    rare_mass: float = 1e-4,
    levels: tuple[float, float] = (-0.15, 0.15),
    rare_level: float = 0.65,
    spread: float = 0.15,
    noise_std: float = 0.1,
) -> World:
    """Families of designs; nothing learnt in one of them tells about another, and the best one is rare.

    Features are one-hot in the family: ``phi(x) = family(x) (x) (1, t(x)) / sqrt(2)``, with traits t(x)
    uniform on the unit sphere, so every ``|phi| = 1`` and ``d = num_families (1 + traits)``. A family's
    reward is its level plus ``spread`` times a random unit direction's product with t. The last family has
    `rare_level` and together the mass `rare_mass`; the levels of the others are spread evenly over
    `levels`, and they share the rest of the mass evenly. Within a family the mass of designs is random.

    Why this family: a law held to the pre-trained one by KL explores by itself wherever that one has mass,
    and shared features carry what was learnt to designs never asked. Here neither helps: the best designs
    are rare, and only readings from among them tell how good they are. The common levels average 0, what
    ridge regression says of a family never seen, so greedy is not held back by a low prior either.

    Raises:
        ParameterError: If there are fewer than 2 families or `rare_mass` is not between 0 and 1.

    Example:
        >>> world = rare_family(np.random.default_rng(0))
        >>> world.features.shape, bool(world.reward.argmax() >= 300)
        ((360, 18), True)
    """
    if num_families < 2 or not 0 < rare_mass < 1:
        raise ParameterError(
            "`num_families` must be at least 2 and `rare_mass` between 0 and 1; "
            f"got {num_families} and {rare_mass}."
        )
    family = np.repeat(np.arange(num_families), designs_each)
    trait = _unit(generator.normal(size=(len(family), traits)))
    local = np.concatenate([np.ones((len(family), 1)), trait], 1) / np.sqrt(2)
    features = (np.eye(num_families)[family][:, :, None] * local[:, None, :]).reshape(len(family), -1)
    common = np.linspace(*levels, num_families - 1)
    slope = spread * _unit(generator.normal(size=(num_families, traits)))
    weights = np.sqrt(2) * np.concatenate([np.append(common, rare_level)[:, None], slope], 1).ravel()
    mass = np.append(np.full(num_families - 1, (1 - rare_mass) / (num_families - 1)), rare_mass)
    within = generator.dirichlet(np.full(designs_each, 2.0), size=num_families).ravel()
    return World(
        features,
        features @ weights,
        normalised(np.log(mass[family] * within)),
        float(np.linalg.norm(weights)),
        noise_std,
    )


def shared_features(
    generator: np.random.Generator,
    *,
    num_designs: int = 360,
    dimension: int = 18,
    highest: float = 0.65,
    noise_std: float = 0.1,
) -> World:
    """The control: random features that all designs share, so every reading tells about every design.

    Features are uniform on the unit sphere, the weights of the reward have a random direction and the length
    that makes the best reward `highest`, and the pre-trained law is random.
    """
    features = _unit(generator.normal(size=(num_designs, dimension)))
    reward = features @ _unit(generator.normal(size=(1, dimension)))[0]
    norm = highest / float(reward.max())
    log_law = normalised(np.log(generator.dirichlet(np.full(num_designs, 2.0))))
    return World(features, norm * reward, log_law, norm, noise_std)


def aliased(world: World, *, families: int, hidden: int, shown_as: int) -> World:
    """The same world through features that cannot tell one family from another: misspecified.

    Args:
        world: One of `rare_family`.
        families: How many families it has.
        hidden: The family that looks like another.
        shown_as: The family whose place in the features it takes.
    """
    blocks = world.features.reshape(len(world.features), families, -1).copy()
    blocks[:, shown_as] += blocks[:, hidden]
    blocks[:, hidden] = 0
    return replace(world, features=blocks.reshape(world.features.shape))


def _unit(rows: Array) -> Array:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
