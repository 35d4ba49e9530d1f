"""An oracle as the feedback of a real campaign: what it says is what the campaign records."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seiko.campaign import CallableFeedback, Campaign, run
from seiko.cli.attaching import attach_sheet, read_attached
from seiko.domains.sequence import sequence_domain
from seiko.domains.sequence_alphabet import DNA
from seiko.domains.sequence_space import SequenceSpace
from seiko.oracles.ehrlich import ehrlich
from seiko.oracles.tf_binding import TFBinding, codes
from seiko.proposers.random import RandomSampling
from seiko.records import TrialState
from seiko.tables import Options


def campaign_of(path, length: int, budget: int = 24) -> Campaign[str]:
    """Random sequences in rounds of 12."""

    def sampler(number, generator):
        kinds = torch.randint(4, (number, length), generator=generator)
        return ["".join("ACGT"[kind] for kind in row) for row in kinds.tolist()]

    domain = sequence_domain(SequenceSpace(DNA, length))
    proposer = RandomSampling(domain, sampler)
    return Campaign.create(path, domain=domain, proposer=proposer, budget=budget, num_queries=12)


def test_infeasible_designs_are_recorded_as_such(tmp_path):
    function = ehrlich(4, 8, num_motifs=2, motif_length=2, alphabet="ACGT")
    campaign = campaign_of(tmp_path / "run", 8)
    run(campaign, function)
    assert len(campaign.history.complete) + len(campaign.history.infeasible) == 24
    assert campaign.history.complete and campaign.history.infeasible
    for trial in campaign.history.complete:
        assert trial.value == function(trial.design) >= 0
    for trial in campaign.history.infeasible:
        assert trial.state is TrialState.INFEASIBLE and trial.note == function.why_infeasible(trial.design)


def test_designs_from_elsewhere_are_read_however_they_are_written(tmp_path):
    function = ehrlich(4, 8, num_motifs=2, motif_length=2, alphabet="ACGT")
    campaign = campaign_of(tmp_path / "run", 8, budget=3)
    attached = campaign.attach(["acgtttgt", "GGUCGCGU"], charge=True)
    assert [trial.design for trial in attached] == ["ACGTTTGT", "GGTCGCGT"]
    assert campaign.attach(["acgtttgt"], [0.5], dry_run=True)[0].design == "ACGTTTGT"
    campaign.attach(["acgtttgt"])  # the same again
    by_hand = RandomSampling(campaign.domain, lambda number, generator: ["ttttgggg"])
    run(Campaign.open(tmp_path / "run", domain=campaign.domain, proposer=by_hand), function)
    for file, content in (("soft.csv", "design\naaaacccc\n"), ("soft.fasta", ">one\nuuuucccc\n")):
        (tmp_path / file).write_text(content)
        path = str(tmp_path / file)
        sheet, designs = read_attached(campaign.domain, path, None, Options(), pending=True)
        attach_sheet(campaign, sheet, designs, path, charge=False, pending=True, dry_run=False)
    rows = list(campaign.export())
    read = ["ACGTTTGT", "GGTCGCGT", "TTTTGGGG", "AAAACCCC", "TTTTCCCC"]
    assert [row["design"] for row in rows] == [trial.design for trial in campaign.trials] == read
    assert {row["state"] for row in rows[:3]} <= {"complete", "infeasible"}


@pytest.fixture
def noisy() -> TFBinding:
    rng = np.random.default_rng(0)
    truth = rng.random(4**8)
    spread = 0.1 * rng.standard_normal(4**8)
    return TFBinding("made up", truth, np.stack([truth + spread, truth - spread]))


def test_noise_is_the_same_in_a_run_that_was_cut_off(tmp_path, noisy):
    whole, cut = campaign_of(tmp_path / "whole", 8), campaign_of(tmp_path / "cut", 8)
    run(whole, noisy)
    trials = cut.ask()
    readings = noisy.evaluate([t.design for t in trials[::-1]])[::-1]  # another order, the same readings
    cut.tell({t.id: o for t, o in zip(trials, readings, strict=True)})
    run(cut, noisy)
    for one, other in zip(whole.history.complete, cut.history.complete, strict=True):
        assert (one.design, one.value, one.noise_std) == (other.design, other.value, noisy.noise_std)
        row = codes([one.design])[0]
        assert one.value in noisy.replicates[:, row] and one.value != noisy.table[row]


def test_an_oracle_is_a_reward_function_too(noisy):
    (reading,) = CallableFeedback(noisy).evaluate(["ACGTACGT"])
    assert reading.value == noisy("ACGTACGT") == noisy.values(["ACGTACGT"])[0]
