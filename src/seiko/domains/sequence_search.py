"""Whether any sequence keeps all constraints at once, and which."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from seiko.domains.sequence_constraints import (
    Constraint,
    FixedPositions,
    GCContent,
    MaxMutations,
    NoStopCodon,
)
from seiko.domains.sequence_motifs import ForbiddenMotifs
from seiko.domains.sequence_space import SequenceSpace
from seiko.errors import ParameterError

MOST_STATES = 200_000
"""How many partial sequences a search visits before it gives up."""


def find_design(
    space: SequenceSpace, constraints: Sequence[Constraint], *, near: str = "", most_states: int = MOST_STATES
) -> tuple[str | None, bool]:
    """A sequence that keeps all constraints, and whether the answer is certain.

    Depth first, letter by letter; of partial sequences after which all constraints remember the same, only
    one is followed, so that a proof that there is none stays short.

    Args:
        space: The sequences.
        constraints: What must be kept.
        near: Letters of this sequence are tried first.
        most_states: How many partial sequences are visited at most.

    Returns:
        A sequence and True; None and True where there is none; None and False where the search gave up.

    Example:
        >>> from seiko.domains.sequence_alphabet import DNA
        >>> from seiko.domains.sequence_constraints import GCContent, MaxHomopolymer
        >>> find_design(SequenceSpace(DNA, 6), [GCContent(1, 1), MaxHomopolymer(1)])
        ('CGCGCG', True)
    """
    budget = most_states
    lengths = sorted(
        range(space.shortest, space.length + 1), key=lambda n: (abs(n - len(near or " " * n)), -n)
    )
    for length in lengths:
        found, used = _search(space.alphabet.letters, length, constraints, near, budget)
        if found is not None:
            return found, True
        budget -= used
        if budget <= 0:
            return None, False
    return None, True


def _search(
    letters: str, length: int, constraints: Sequence[Constraint], near: str, budget: int
) -> tuple[str | None, int]:
    """A sequence of one length or None, and how many partial sequences were visited."""

    def order(position: int) -> Iterator[str]:
        turn = position % len(letters)  # begin with another letter each time: runs are often forbidden
        first = near[position : position + 1]
        return iter(dict.fromkeys(first + letters[turn:] + letters[:turn]))

    seen: set[tuple[int, tuple[Hashable, ...]]] = set()
    start = tuple(constraint.start() for constraint in constraints)
    path: list[tuple[str, tuple[Hashable, ...], Iterator[str]]] = [("", start, order(0))]
    while path and len(seen) < budget:
        _, memories, untried = path[-1]
        position = len(path) - 1
        if position == length:
            return "".join(letter for letter, _, _ in path), len(seen)
        letter = next(untried, None)
        if letter is None:
            path.pop()
            continue
        after = _step(constraints, memories, letter, position, length)
        if after is not None and (position, after) not in seen:
            seen.add((position, after))
            path.append((letter, after, order(position + 1)))
    return None, len(seen)


def _step(
    constraints: Sequence[Constraint], memories: tuple[Hashable, ...], letter: str, position: int, length: int
) -> tuple[Hashable, ...] | None:
    after = []
    for constraint, memory in zip(constraints, memories, strict=True):
        new = constraint.step(memory, letter, position, length)
        if new is None:
            return None
        after.append(new)
    return tuple(after)


def broken(sequence: str, constraints: Sequence[Constraint]) -> str:
    """The first reason why a sequence does not keep the constraints; empty if it does."""
    return next((reason for c in constraints if (reason := c.why_not(sequence))), "")


def check_parent(space: SequenceSpace, parent: str, constraints: Sequence[Constraint]) -> None:
    """Refuse a parent that breaks its own constraints.

    Raises:
        ParameterError: Listing all that it breaks, with a repaired sequence where one is found.
    """
    reasons = [reason for c in constraints if (reason := c.why_not(parent))]
    if not reasons:
        return
    repaired, _ = find_design(space, constraints, near=parent)
    hint = "Loosen the constraints, or choose another parent"
    if repaired is not None:
        hint += f", for instance {repaired}"
    raise ParameterError(f"The parent breaks its own constraints: {'; '.join(reasons)}.", hint=hint + ".")


def check_letters(space: SequenceSpace, constraint: Constraint) -> None:
    """Refuse a constraint of other letters or positions than a space has: it would keep nothing out, or all.

    Raises:
        ParameterError: Saying how to write it for this space.
    """
    alphabet = space.alphabet
    if isinstance(constraint, ForbiddenMotifs):
        if set(constraint.alphabet.letters) != set(alphabet.letters):
            raise ParameterError(
                f"{constraint!r} is written for {constraint.alphabet.name}, but designs are {space}.",
                hint="Give it their alphabet, with `alphabet`.",
            )
    elif isinstance(constraint, NoStopCodon | GCContent):
        if not alphabet.is_nucleic:
            raise ParameterError(
                f"{constraint!r} is about DNA or RNA, but designs are {space}.", hint="Leave it out."
            )
    elif isinstance(constraint, FixedPositions):
        space.allowed(constraint.letters)
    elif isinstance(constraint, MaxMutations) and space.read(constraint.parent) != constraint.parent:
        raise ParameterError(
            f"The parent of MaxMutations must be written as designs are; got {constraint.parent!r}.",
            hint=f"Its letters are {alphabet.letters}: give `space.read(parent)`.",
        )


def check_constraints(space: SequenceSpace, constraints: Sequence[Constraint]) -> None:
    """Refuse constraints of other letters, that no sequence keeps, and parents that break the others.

    Raises:
        ParameterError: Naming a constraint without which there is a design, where a single one is to blame.
    """
    for constraint in constraints:
        check_letters(space, constraint)
    for constraint in constraints:
        if isinstance(constraint, MaxMutations) and constraint.parent_is_design:
            check_parent(space, constraint.parent, constraints)
    found, certain = find_design(space, constraints)
    if found is None and certain:
        listed = "; ".join(map(repr, constraints))
        raise ParameterError(
            f"No {space} keeps these constraints together: {listed}.", hint=_culprits(space, constraints)
        )


def _culprits(space: SequenceSpace, constraints: Sequence[Constraint]) -> str:
    for k, constraint in enumerate(constraints):
        others = [*constraints[:k], *constraints[k + 1 :]]
        example, _ = find_design(space, others)
        if example is not None and others:
            return f"Without {constraint!r} there are some, for instance {example}."
    return "Loosen them: no single one is to blame." if len(constraints) > 1 else "Loosen it."
