"""Chains: a network and a process."""

from seiko.chains.base import DiffusionChain, Process
from seiko.chains.clamped import Clamped, clamped
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
from seiko.chains.guided import Guided
from seiko.chains.joint import Joint
from seiko.chains.left_to_right import LeftToRight
from seiko.chains.masked import Absorbing, Masked, Uniform, one_hot
from seiko.chains.particles import Particles, TemperedParticles

__all__ = [
    "Absorbing",
    "Clamped",
    "DDIM",
    "Denoised",
    "DiffusionChain",
    "Epsilon",
    "EulerMaruyama",
    "FlowDDIM",
    "FlowVelocity",
    "Guided",
    "Joint",
    "LeftToRight",
    "Masked",
    "Particles",
    "Process",
    "RectifiedFlow",
    "Score",
    "TemperedParticles",
    "Uniform",
    "VarianceExploding",
    "VariancePreserving",
    "Velocity",
    "clamped",
    "one_hot",
]
