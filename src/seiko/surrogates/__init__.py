"""Recipes of surrogates: each returns a fitted BoTorch model."""

from seiko.surrogates.base import Observations as Observations
from seiko.surrogates.base import Surrogate as Surrogate
from seiko.surrogates.ensemble import BootstrapEnsemble as BootstrapEnsemble
from seiko.surrogates.linear import LastLayerLinear as LastLayerLinear
