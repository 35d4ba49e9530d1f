"""Networks that predict at a state, one architecture a file; each is ``network(state, time, condition)``."""

from seiko.networks.guidance import ClassifierFreeGuidance
from seiko.networks.mlp import SequenceMLP, VectorMLP
from seiko.networks.molecular_graph import MolecularGraphNetwork
from seiko.networks.sequence import SequenceConvolution, SequenceTransformer

__all__ = [
    "ClassifierFreeGuidance",
    "MolecularGraphNetwork",
    "SequenceConvolution",
    "SequenceMLP",
    "SequenceTransformer",
    "VectorMLP",
]
