"""GFP brightness: the network's algebra, and both trained predictors against measured variants."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from seiko.errors import ParameterError, WeightsError
from seiko.oracles import predictors
from seiko.oracles.base import PROTEIN
from seiko.oracles.gfp_brightness import LENGTH, NONE, WILD_TYPE, BrightnessNetwork, GFPBrightness, mutations
from seiko.records import TrialState


def changed(*changes: tuple[int, str]) -> str:
    letters = list(WILD_TYPE)
    for place, letter in changes:
        letters[place] = letter
    return "".join(letters)


def indices(*designs: str) -> torch.Tensor:
    return torch.tensor([[PROTEIN.index(letter) for letter in design] for design in designs])


@pytest.fixture
def network() -> BrightnessNetwork:
    torch.manual_seed(0)
    network = BrightnessNetwork(3, rank=2, width=8).eval()
    torch.nn.init.normal_(network.effects)
    return network.double()


def test_lists_of_substitutions_say_the_same_as_letters(network):
    rows = torch.tensor([[NONE, NONE, NONE], [20 * 5 + 3, NONE, NONE], [20 * 5 + 3, 20 * 100 + 7, NONE]])
    designs = [
        WILD_TYPE,
        changed((5, PROTEIN[3])),
        changed((5, PROTEIN[3]), (100, PROTEIN[7])),
    ]
    torch.testing.assert_close(network.from_substitutions(rows), network(indices(*designs)))


def test_the_formula_by_hand(network):
    with torch.no_grad():
        place, residue, wild = 10, PROTEIN.index("W"), PROTEIN.index(WILD_TYPE[10])
        effect = [
            network.residues[a] @ network.positions[place] + network.effects[place, a]
            for a in (residue, wild)
        ]
        summed = effect[0] - effect[1] + network.bias
        height = network.linear(summed[None]) + network.deep(summed[None])
        low, high = network.plateaus
        expected = low + (high - low) / (1 + torch.exp(-2 - height[0, 0]))
        assert network(indices(changed((place, "W"))))[0] == pytest.approx(float(expected), abs=1e-10)


def test_without_width_effects_only_add():
    torch.manual_seed(1)
    network = BrightnessNetwork(1, rank=2, width=0).double()
    designs = [WILD_TYPE, changed((3, "W")), changed((200, "K")), changed((3, "W"), (200, "K"))]
    with torch.no_grad():
        low, high = network.plateaus
        none, first, second, both = torch.logit((network(indices(*designs)) - low) / (high - low))
    assert float(both - none) == pytest.approx(float(first - none + second - none), abs=1e-9)


def test_mutations_are_counted_from_the_first_methionine():
    assert mutations(WILD_TYPE) == []
    assert mutations(changed((0, "A"), (236, "R"))) == ["S2A", "K238R"]
    assert LENGTH == 237 and WILD_TYPE[63:66] == "SYG"  # the chromophore: residues 65 to 67


@pytest.mark.parametrize("predictor", ["main", "control"])
def test_wild_type_is_bright_and_a_broken_chromophore_is_dark(predictor):
    oracle = GFPBrightness(predictor)
    glycine = 65  # residue 67; nothing else makes the chromophore
    assert oracle(WILD_TYPE) == pytest.approx(3.72, abs=0.15)
    assert oracle(changed((glycine, "D"))) < 2.5
    generator = np.random.default_rng(0)
    places = [generator.choice(LENGTH, 60, replace=False) for _ in range(20)]
    random = [changed(*((p, PROTEIN[generator.integers(20)]) for p in row)) for row in places]
    assert oracle.values(random).max() < 2.5


def test_the_predictors_are_different_and_repeatable():
    designs = [changed((place, "P")) for place in range(0, LENGTH, 10)]
    main, control = GFPBrightness().values(designs), GFPBrightness("control").values(designs)
    assert np.abs(main - control).max() > 0.05
    np.testing.assert_array_equal(main, GFPBrightness().values(designs))
    np.testing.assert_allclose(main[:1], GFPBrightness().values(designs[:1]), rtol=1e-5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (WILD_TYPE + "A", "Trim it by 1"),
        (changed((7, "*")), "A stop codon ends the protein"),
        (changed((7, "X")), "'X' at position 8"),
        (WILD_TYPE.lower(), "upper case"),
        (changed((7, "-")), "Remove gaps"),
        (3, "is a int"),
    ],
)
def test_designs_that_cannot_be_read(bad, message):
    with pytest.raises(ParameterError, match=message):
        GFPBrightness()(bad)
    failed, good = GFPBrightness().evaluate([bad, WILD_TYPE])
    assert failed.state is TrialState.FAILED and good.value > 3


def test_unknown_predictors_and_damaged_weights(monkeypatch, tmp_path):
    with pytest.raises(ParameterError, match="main or control; got 'other'"):
        GFPBrightness("other")
    card = predictors.read_card("gfp-brightness-main")
    (tmp_path / "card.json").write_text(json.dumps(card))
    (tmp_path / "weights.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(predictors, "_folder", lambda name: tmp_path)
    with pytest.raises(WeightsError, match="as their card says"):
        predictors.load_predictor("gfp-brightness-main", BrightnessNetwork)
    with pytest.raises(WeightsError, match=r"no file .*missing"):
        monkeypatch.setattr(predictors, "_folder", lambda name: tmp_path / "missing")
        predictors.read_card("none")


def held_out(path: Path) -> tuple[list[str], np.ndarray]:
    """The tenth of the variants that neither predictor was trained on, as the recipe draws it."""
    text = gzip.decompress(path.read_bytes()).decode().splitlines()
    rows = [row for row in csv.DictReader(text) if row["has_stop"] == "0"]
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    designs, brightness = [], []
    for index in order[: round(0.1 * len(rows))]:
        changes = [] if rows[index]["variant"] == "WT" else rows[index]["variant"].split(",")
        designs.append(changed(*((int(change[1:-1]), change[-1]) for change in changes)))
        brightness.append(float(rows[index]["log10_brightness"]))
    return designs, np.array(brightness)


@pytest.mark.data
def test_predictors_rank_held_out_variants(measured):
    """Design-Bench's published oracle reaches .8497."""
    assert (measured("gfp").parent / "wild_type.txt").read_text().strip() == WILD_TYPE
    designs, brightness = held_out(measured("gfp"))
    assert len(designs) == 5172
    for predictor, least in (("main", 0.85), ("control", 0.80)):
        predicted = GFPBrightness(predictor).values(designs)
        spearman = spearmanr(predicted, brightness).statistic
        card = predictors.read_card(f"gfp-brightness-{predictor}")["held_out"]
        assert spearman >= least and spearman == pytest.approx(card["spearman"], abs=2e-3)
