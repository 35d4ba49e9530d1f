"""Every predictor of the package: small weights, a whole card, and sound loading."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from seiko.checkpoints import tensors_from_bytes
from seiko.errors import ParameterError
from seiko.oracles import predictors
from seiko.oracles.base import DNA, PROTEIN, RNA, check_designs, letter_indices, what_is_wrong

WEIGHTS = Path(predictors.__file__).parent / "weights"


@pytest.mark.parametrize("folder", sorted(WEIGHTS.iterdir()), ids=lambda folder: folder.name)
def test_weights_are_small_half_precision_and_those_of_the_card(folder):
    content = (folder / "weights.safetensors").read_bytes()
    card = predictors.read_card(folder.name)
    assert len(content) < 4e6 and hashlib.sha256(content).hexdigest() == card["weights_sha256"]
    tensors, _ = tensors_from_bytes(content)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert (folder / "card.md").read_text().startswith(f"# {folder.name}\n")
    recipe = Path(__file__).parents[2] / card["recipe"]
    assert recipe.is_file()


def test_an_ensemble_is_the_mean_of_its_members():
    members = [torch.nn.Linear(2, 1) for _ in range(3)]
    rows = torch.randn(5, 2)
    expected = sum(member(rows) for member in members) / 3
    torch.testing.assert_close(predictors.Ensemble(members)(rows), expected)


def test_prediction_in_batches_is_prediction_at_once():
    layer, rows = torch.nn.Linear(3, 1), torch.randn(10, 3)
    torch.testing.assert_close(predictors.predict(layer, rows, batch_size=3), layer(rows).detach())
    assert len(predictors.predict(layer, rows[:0])) == 0


@pytest.mark.parametrize(
    ("design", "alphabet", "advice"),
    [
        ("ACGU", DNA, "Write T for U"),
        ("ACGT", RNA, "Write U for T"),
        ("ACgT", DNA, "upper case"),
        ("AC-T", DNA, "Remove gaps"),
        ("AC T", DNA, "Remove gaps"),
        ("ACNT", DNA, "ambiguous"),
        ("MK*", PROTEIN, "stop codon"),
        ("MKB", PROTEIN, "ambiguous"),
        ("MKÅ", PROTEIN, "ambiguous"),
    ],
)
def test_advice_fits_the_letter(design, alphabet, advice):
    message, hint = what_is_wrong(design, alphabet)
    assert "at position" in message and advice in hint


def test_one_string_is_no_list_and_lists_may_be_empty():
    with pytest.raises(ParameterError, match=r"Write \[design\]"):
        check_designs("ACGT", DNA)
    assert letter_indices([], DNA, 4).shape == (0, 4)
    with pytest.raises(ParameterError, match=r"Design 2 .* has the letter 'N' at position 3"):
        letter_indices(["ACGT", "ACNT"], DNA, 4)
