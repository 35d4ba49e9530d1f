"""Moving averages of weights against their definition."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seiko.averaging import MovingAverage


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_follows_the_definition(decay):
    generator = torch.Generator().manual_seed(0)
    weight, other = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(()))
    average, wanted = MovingAverage({"weight": weight, "other": other}, decay), torch.ones(3)
    for step in range(1, 40):
        with torch.no_grad():
            weight.copy_(torch.randn(3, generator=generator))
        average.update(step)
        keep = min(decay, step / (step + 10))
        wanted = keep * wanted + (1 - keep) * weight.detach()
    torch.testing.assert_close(average.tensors["weight"], wanted)
    before = weight.detach().clone()
    assert decay == 0 or not torch.equal(average.tensors["weight"], before)
    average.apply()
    torch.testing.assert_close(weight.detach(), wanted)
    assert not average.tensors["weight"].requires_grad and weight.requires_grad
