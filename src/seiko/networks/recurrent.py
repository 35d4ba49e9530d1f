"""A network that reads a sequence from left to right and remembers it in a state of fixed size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seiko.errors import ParameterError


class RecurrentSequence(nn.Module):
    """Gated recurrent units (Cho et al. 2014) over the kinds of a sequence, for `LeftToRight`.

    Reading one kind more costs the same at every position. `forward` reads whole rows at once, `read` one
    kind of each row; both give the same numbers up to rounding.

    Args:
        kinds: Clean kinds, the end (kind 0) included. The input has one more, which stands before a row.
        width: Width of the state.
        num_layers: Layers.
        embedding: Width of a kind's embedding.

    Raises:
        ParameterError: If a size is too small.

    Example:
        >>> network = RecurrentSequence(5, width=8, embedding=4)
        >>> network(torch.tensor([[5, 2, 0], [5, 0, 0]]), torch.tensor([3, 2])).shape
        torch.Size([2, 3, 8])
    """

    def __init__(self, kinds: int, *, width: int = 512, num_layers: int = 1, embedding: int = 256) -> None:
        super().__init__()
        if kinds < 2 or min(width, num_layers, embedding) < 1:
            raise ParameterError(
                "A recurrent network needs kinds >= 2 and sizes >= 1; got "
                f"kinds={kinds}, width={width}, num_layers={num_layers}, embedding={embedding}."
            )
        self.kinds = kinds
        self.embedding = nn.Embedding(kinds + 1, embedding)
        self.recurrent = nn.GRU(embedding, width, num_layers, batch_first=True)
        self.head = nn.Linear(width, kinds)

    def forward(self, previous: Tensor, lengths: Tensor) -> Tensor:
        """What is known at each position, [batch, positions, width]; 0 from a row's length on.

        Args:
            previous: The kind before each position, [batch, positions]; `kinds` before the first.
            lengths: Positions that are wanted of each row, [batch], at least 1; no other is computed.
        """
        packed = pack_padded_sequence(
            self.embedding(previous), lengths.cpu(), batch_first=True, enforce_sorted=False
        )
        return pad_packed_sequence(
            self.recurrent(packed)[0], batch_first=True, total_length=previous.shape[1]
        )[0]

    def start(self, rows: int) -> Tensor:
        """The state before anything is read, [layers, rows, width]."""
        weight = self.head.weight
        return weight.new_zeros(self.recurrent.num_layers, rows, self.recurrent.hidden_size)

    def read(self, state: Tensor, previous: Tensor) -> Tensor:
        """The state after one kind more of each row, [layers, rows, width]; its last layer is `forward`'s."""
        return self.recurrent(self.embedding(previous)[:, None], state)[1]
