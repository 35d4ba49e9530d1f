"""Shipped conformance suites: one line in your own tests says that a part obeys its protocol.

Each is a plain function that raises `AssertionError` with what is wrong, and needs no test framework.

Example:
    >>> from seiko.chains import DiffusionChain, Masked
    >>> from seiko.networks import SequenceMLP
    >>> from seiko.testing import check_chain
    >>> check_chain(lambda: DiffusionChain(SequenceMLP(3, 5, outputs=4), Masked(length=3, kinds=4)))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seiko.testing.chains import check_chain
    from seiko.testing.domains import check_domain
    from seiko.testing.proposers import check_proposer
    from seiko.testing.stores import check_store
    from seiko.testing.surrogates import check_surrogate
    from seiko.testing.updaters import check_updater

_MODULES = {
    "check_chain": "seiko.testing.chains",
    "check_domain": "seiko.testing.domains",
    "check_proposer": "seiko.testing.proposers",
    "check_store": "seiko.testing.stores",
    "check_surrogate": "seiko.testing.surrogates",
    "check_updater": "seiko.testing.updaters",
}

__all__ = ["check_chain", "check_domain", "check_proposer", "check_store", "check_surrogate", "check_updater"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'seiko.testing' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value
