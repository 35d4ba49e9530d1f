"""Networks that predict at a state: one architecture a file, called as ``network(state, time, condition)``."""

from seiko.networks.mlp import SequenceMLP, VectorMLP
from seiko.networks.molecular_graph import MolecularGraphNetwork

__all__ = ["MolecularGraphNetwork", "SequenceMLP", "VectorMLP"]
