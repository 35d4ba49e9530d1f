"""Networks that predict at a state, one architecture a file; each is ``network(state, time, condition)``."""

from seiko.networks.adapters import DiffusersNetwork, PromptNetwork
from seiko.networks.guidance import ClassifierFreeGuidance
from seiko.networks.lora import LoRA, add_lora, load_lora, save_lora
from seiko.networks.markov import MarkovPosterior
from seiko.networks.mlp import SequenceMLP, VectorMLP
from seiko.networks.molecular_graph import MolecularGraphNetwork
from seiko.networks.recurrent import RecurrentSequence
from seiko.networks.sequence import SequenceConvolution, SequenceTransformer

__all__ = [
    "ClassifierFreeGuidance",
    "DiffusersNetwork",
    "LoRA",
    "MarkovPosterior",
    "MolecularGraphNetwork",
    "PromptNetwork",
    "RecurrentSequence",
    "SequenceConvolution",
    "SequenceMLP",
    "SequenceTransformer",
    "VectorMLP",
    "add_lora",
    "load_lora",
    "save_lora",
]
