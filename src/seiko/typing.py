"""Names for the shapes of things. `State` is a tensor or a dict of tensors; dimension 0 is the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from torch import Tensor

State: TypeAlias = Tensor | Mapping[str, Tensor]
"""What a chain moves through: every leaf has shape [batch, ...]."""

Condition: TypeAlias = State | None
"""What is given and never trained: prompts, labels, node masks."""
