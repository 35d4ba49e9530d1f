"""A two-dimensional Gaussian mixture with a DDPM chain whose pre-trained network is analytic."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seiko.chain import Chain, path_log_prob, sample, sample_path
from seiko.chains import DDIM, DiffusionChain, Velocity
from seiko.networks import VectorMLP
from seiko.schedules import cosine_alpha_bar
from seiko.typing import Condition

LAST = 0.98
MEANS = torch.tensor([[1.2, 0.0], [-0.6, 1.0], [-0.6, -1.0]])
PRETRAINED = (MEANS, torch.tensor([0.3, 0.3, 0.4]))
PREVIOUS = (MEANS + torch.tensor([0.1, 0.1]), torch.tensor([0.4, 0.35, 0.25]))
STD = 0.45


class MixtureNetwork(nn.Module):
    """The exact velocity ``alpha e - sigma x_0`` of a noised mixture, and a trainable residual, first 0."""

    def __init__(self, means: Tensor, shares: Tensor, num_steps: int) -> None:
        super().__init__()
        self.register_buffer("means", means)
        self.register_buffer("shares", shares)
        self.register_buffer("alpha_bar", cosine_alpha_bar(num_steps, last=LAST).float())
        self.residual = VectorMLP(2, width=32, num_layers=1)
        nn.init.zeros_(self.residual.out[-1].weight)
        nn.init.zeros_(self.residual.out[-1].bias)

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        level = self.alpha_bar[((len(self.alpha_bar) - 1) * (1 - time)).round().long()][:, None, None]
        alpha, sigma = level.sqrt(), (1 - level).sqrt()
        variance = level * STD**2 + 1 - level
        offset = state[:, None] - alpha * self.means  # [batch, components, 2]
        logits = self.shares.log() - 0.5 * (offset.square() / variance).sum(-1)
        noise = (sigma / variance * offset * logits.softmax(1)[..., None]).sum(1)
        clean = self.means + alpha * STD**2 / variance * offset
        clean = (clean * logits.softmax(1)[..., None]).sum(1)
        return alpha[:, 0] * noise - sigma[:, 0] * clean + self.residual(state, time)


def mixture_chain(mixture: tuple[Tensor, Tensor], num_steps: int = 16) -> DiffusionChain:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = MixtureNetwork(*mixture, num_steps)
    return DiffusionChain(network, DDIM(cosine_alpha_bar(num_steps, last=LAST), (2,), prediction=Velocity()))


def value(state: Tensor, condition: Condition = None) -> Tensor:
    return 0.8 * state[:, 0] + 0.4 * torch.sin(2 * state[:, 1])


@dataclass(frozen=True)
class Reference:
    """A large sample of paths of the pre-trained chain, and their log-ratio to the previous one."""

    ends: Tensor
    log_ratio: Tensor

    def weights(self, pretrained: float, previous: float) -> Tensor:
        """Self-normalised weights of ``exp(value / w) p_pre^(w_pre / w) p_prev^(w_prev / w)``, [n]."""
        total = pretrained + previous
        return ((value(self.ends).double() + previous * self.log_ratio) / total).softmax(0)


@torch.no_grad()
def reference_sample(pretrained: Chain, previous: Chain, num_samples: int, seed: int) -> Reference:
    generator = torch.Generator().manual_seed(seed)
    ends, ratios = [], []
    for _ in range(num_samples // 10_000):
        path = sample_path(pretrained, 10_000, generator=generator)
        ratio = path_log_prob(previous, path) - path_log_prob(pretrained, path)
        ends.append(path[-1])
        ratios.append(ratio.double().sum(1))
    return Reference(torch.cat(ends), torch.cat(ratios))


def histogram(points: Tensor, weights: Tensor | None = None, cells: int = 12, half: float = 3.0) -> Tensor:
    """Shares of `cells` x `cells` squares of [-half, half]^2, the outermost ones open, [cells^2]."""
    place = ((points + half) / (2 * half) * cells).floor().clamp(0, cells - 1).long()
    given = torch.full((len(points),), 1 / len(points), dtype=torch.float64) if weights is None else weights
    return torch.zeros(cells**2, dtype=torch.float64).index_add_(0, place[:, 0] * cells + place[:, 1], given)


def sampled_law(chain: Chain, num_samples: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return histogram(sample(chain, num_samples, batch_size=10_000, generator=generator))
