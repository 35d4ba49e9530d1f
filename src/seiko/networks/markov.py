"""The exact posterior of a Markov law of sequences, with a network beside it that can be trained."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from seiko.errors import ParameterError
from seiko.typing import Condition

IMPOSSIBLE = -25.0
"""Log-probability, in nats, of a letter that the law rules out: a chain keeps its support."""


class MarkovPosterior(nn.Module):
    """Logits of each letter given the revealed ones, exact for a Markov law, plus a residual.

    Of sequences ``x_1 ~ initial, x_(l+1) ~ transitions[x_l]`` the forward-backward recursion (Baum et al.
    1970) gives ``log p(x_l | revealed letters)`` at every masked position l. Masked diffusion with these
    logits and one position a step samples the Markov law without any training; the residual, 0 at first, is
    what fine-tuning moves.

    Args:
        initial: Probabilities of the first letter, [kinds].
        transitions: From row to column, [kinds, kinds]; 0 where a letter may not follow.
        residual: A network of the same call that gives 0 before training.

    Shape:
        state [batch, length, kinds + 1], time [batch] -> [batch, length, kinds].

    Raises:
        ParameterError: If the probabilities are negative or do not add up to 1.

    Example:
        >>> follow = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        >>> network = MarkovPosterior(torch.tensor([0.5, 0.5]), follow)
        >>> state = torch.tensor([[[1.0, 0, 0], [0, 0, 1.0], [0, 0, 1.0]]])  # a, masked, masked
        >>> network(state, torch.ones(1)).argmax(-1).tolist()
        [[0, 1, 0]]
    """

    initial: Tensor
    transitions: Tensor

    def __init__(self, initial: Tensor, transitions: Tensor, residual: nn.Module | None = None) -> None:
        super().__init__()
        rows = torch.cat([initial[None], transitions])
        if bool((rows < 0).any()) or not torch.allclose(rows.sum(1), torch.ones(len(rows)).to(rows)):
            raise ParameterError("`initial` and each row of `transitions` must be probabilities of sum 1.")
        self.register_buffer("initial", initial.float())
        self.register_buffer("transitions", transitions.float())
        self.residual = residual

    def forward(self, state: Tensor, time: Tensor, condition: Condition = None) -> Tensor:
        exact = self.posterior(state)
        return exact if self.residual is None else exact + self.residual(state, time, condition)

    @torch.no_grad()
    def posterior(self, state: Tensor) -> Tensor:
        """``log p(letter | revealed letters)``, at least `IMPOSSIBLE`, [batch, length, kinds]."""
        masked = state[..., -1:] > 0.5
        possible = torch.where(masked, 1.0, state[..., :-1])
        ahead = [possible[:, 0] * self.initial]
        for place in range(1, state.shape[1]):
            ahead.append(_normalised(ahead[-1] @ self.transitions) * possible[:, place])
        behind = torch.ones_like(ahead[0])
        posterior = [ahead[-1]]
        for place in range(state.shape[1] - 1, 0, -1):
            behind = _normalised((behind * possible[:, place]) @ self.transitions.T)
            posterior.append(ahead[place - 1] * behind)
        law = torch.stack(posterior[::-1], 1)
        return (law / law.sum(-1, keepdim=True).clamp_min(1e-30)).log().clamp_min(IMPOSSIBLE)


def _normalised(rows: Tensor) -> Tensor:
    """Of sum 1; evenly spread where the revealed letters contradict the law."""
    total = rows.sum(-1, keepdim=True)
    return torch.where(total > math.exp(IMPOSSIBLE), rows / total.clamp_min(1e-30), 1 / rows.shape[-1])
