"""Recipes of surrogates: each returns a fitted BoTorch model."""

from seiko.surrogates.base import Observations as Observations
from seiko.surrogates.base import Surrogate as Surrogate
from seiko.surrogates.ensemble import BootstrapEnsemble as BootstrapEnsemble
from seiko.surrogates.feasibility import FeasibilityModel as FeasibilityModel
from seiko.surrogates.feasibility import FittedFeasibility as FittedFeasibility
from seiko.surrogates.gp import GaussianProcess as GaussianProcess
from seiko.surrogates.linear import LastLayerLinear as LastLayerLinear
from seiko.surrogates.mlp import Training as Training
from seiko.surrogates.tanimoto import TanimotoKernel as TanimotoKernel
