"""Chains: a network and a process."""

from seiko.chains.base import DiffusionChain, Process
from seiko.chains.flow import FlowDDIM
from seiko.chains.gaussian import (
    DDIM,
    Denoised,
    Epsilon,
    EulerMaruyama,
    FlowVelocity,
    RectifiedFlow,
    Score,
    VarianceExploding,
    VariancePreserving,
    Velocity,
)
from seiko.chains.joint import Joint
from seiko.chains.left_to_right import LeftToRight
from seiko.chains.masked import Absorbing, Masked, Uniform, one_hot

__all__ = [
    "Absorbing",
    "DDIM",
    "Denoised",
    "DiffusionChain",
    "Epsilon",
    "EulerMaruyama",
    "FlowDDIM",
    "FlowVelocity",
    "Joint",
    "LeftToRight",
    "Masked",
    "Process",
    "RectifiedFlow",
    "Score",
    "Uniform",
    "VarianceExploding",
    "VariancePreserving",
    "Velocity",
    "one_hot",
]
