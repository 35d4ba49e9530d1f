"""What may not be told, asked, proposed or opened: a clear error, and nothing written."""

from __future__ import annotations

import campaign_world as world
import numpy as np
import pytest
import torch

from seiko.campaign import Campaign
from seiko.campaign.lock import exclusive
from seiko.campaign.store import Store
from seiko.errors import CampaignError, ObservationError, ParameterError, SeikoError, TrialError
from seiko.proposers.base import Proposal
from seiko.records import Observation

BAD_READINGS = [
    ({0: "0.4"}, ObservationError, "trial 0 must be a number.*'0.4'"),
    ({1: b"1"}, ObservationError, "trial 1"),
    ({2: True}, ObservationError, "trial 2"),
    ({2: np.True_}, ObservationError, "trial 2"),
    ({2: torch.tensor(True)}, ObservationError, "trial 2"),
    ({1: [0.4]}, ObservationError, r"trial 1 .*\[0.4\]"),
    ({1: np.zeros(2)}, ObservationError, r"trial 1 .*an array of shape \[2\]"),
    ({1: torch.zeros(1)}, ObservationError, "trial 1"),
    ({1: 1j}, ObservationError, "trial 1"),
    ({1: float("inf")}, ObservationError, "trial 1 must be finite; got inf.*infeasible"),
    ({1: 10**400}, ObservationError, "trial 1"),
    ({7: 0.4}, TrialError, "no trial 7; this campaign has trials 0 to 2"),
    ({-1: 0.4}, TrialError, "no trial -1"),
    ({"0": 0.4}, TrialError, "id must be a whole number; got '0'"),
    ({1.0: 0.4}, TrialError, "id must be a whole number"),
    ({True: 0.4}, TrialError, "id must be a whole number"),
    ([0.1, 0.2, 0.3], ObservationError, "mapping from trial id to reading; got list"),
    (None, ObservationError, "got NoneType"),
]


@pytest.mark.parametrize(("readings", "error", "text"), BAD_READINGS)
def test_a_bad_reading_names_its_trial_and_nothing_is_written(tmp_path, readings, error, text):
    campaign = world.create(tmp_path)
    campaign.ask()
    before = Store.open(tmp_path).events()
    both = {0: 0.5, **readings} if isinstance(readings, dict) else readings
    with pytest.raises(error, match=text):
        campaign.tell(both)
    assert Store.open(tmp_path).events() == before
    assert campaign.status().num_complete == 0


def test_a_complete_observation_without_a_number_cannot_be_made():
    for value in (float("nan"), None, "0.4", float("inf")):
        with pytest.raises(ObservationError, match="finite number"):
            Observation(value)


def test_a_told_reading_is_final(tmp_path):
    campaign = world.create(tmp_path)
    campaign.ask()
    campaign.tell({0: 0.41, 1: Observation.failed("broke"), 2: Observation(1.0, noise_std=0.1)})
    for readings, text in [
        ({0: 0.57}, "Trial 0 was already told 0.41 and cannot become 0.57: a told reading is final"),
        ({1: 0.57}, "Trial 1 was already told failed and cannot become 0.57"),
        ({0: Observation.infeasible()}, "already told 0.41 and cannot become infeasible"),
        ({2: Observation(1.0, noise_std=0.2)}, r"told 1.0 \(noise 0.1\) and cannot become 1.0 \(noise 0.2\)"),
    ]:
        with pytest.raises(TrialError, match=text):
            campaign.tell(readings)
    campaign.tell({0: 0.41, 1: Observation.failed("again"), 2: 1.0})
    assert campaign.trials[1].note == "broke"


def test_telling_before_asking(tmp_path):
    with pytest.raises(TrialError, match="this campaign has no trials yet"):
        world.create(tmp_path).tell({0: 1.0})


BAD_PROPOSALS = [
    (Proposal(["abcd"]), "asked for 2 designs and gave 1"),
    (Proposal([]), "asked for 2 designs and gave 0"),
    (Proposal(["abcd", "abce", "abcf"]), "asked for 2 designs and gave 3"),
    (
        Proposal(["abcd", "xyz"]),
        "Design 1 of the proposal, 'xyz', is not valid: it must be 4 letters of abcdef",
    ),
    (Proposal(["abcd", "abcd"]), "Designs 0 and 1 of the proposal are the same, 'abcd'"),
    (Proposal(["abcd", "aaaa"]), "Design 1 of the proposal, 'aaaa', was asked before"),
    (Proposal(["abcd", "abce"], predictions=[(0.0, 1.0)]), "gave 1 predictions for 2 designs"),
    (Proposal(["abcd", "abce"], predictions=[(0.0, 1.0), (float("nan"), 1.0)]), "prediction of design 1"),
    (Proposal(["abcd", "abce"], predictions=[(0.0, -1.0), (0.0, 1.0)]), "prediction of design 0"),
    (
        Proposal(["abcd", "abce"], artifacts={"w": "text"}),
        "artifact must have a name and bytes; got 'w' with str",
    ),
    (Proposal(["abcd", "abce"], report={"x/y": object()}), "report's 'x/y' must be a JSON value; got object"),
    (["abcd", "abce"], "answered list; it must answer a Proposal"),
    (None, "answered NoneType"),
]


@pytest.mark.parametrize(("answer", "text"), BAD_PROPOSALS)
def test_a_bad_proposal_is_refused_and_not_charged(tmp_path, answer, text):
    first = world.create(tmp_path, proposer=world.words("aaaa", "bbbb"), num_queries=2)
    first.ask()
    campaign = world.reopen(tmp_path, proposer=world.Answering(lambda history, number: answer))
    with pytest.raises(CampaignError, match=text) as caught:
        campaign.ask()
    assert "of the proposer" in str(caught.value)
    assert (campaign.queries_left, len(campaign.trials), len(Store.open(tmp_path).events())) == (10, 2, 2)
    assert len(world.reopen(tmp_path).ask()) == 2


def test_a_proposer_that_raises_is_not_charged(tmp_path):
    def answer(history, number):
        raise RuntimeError("out of memory")

    campaign = world.create(tmp_path, proposer=world.Answering(answer))
    with pytest.raises(RuntimeError, match="out of memory"):
        campaign.ask()
    assert campaign.queries_left == 12
    assert len(world.reopen(tmp_path).ask()) == 3


def test_a_design_that_does_not_survive_its_bytes(tmp_path):
    lossy = world.domain(to_bytes=lambda design: design[:1].encode() * 4)
    campaign = Campaign.create(tmp_path, domain=lossy, proposer=world.words("abcd"), budget=2, num_queries=1)
    with pytest.raises(CampaignError, match=r"another design once read back.*must be inverse"):
        campaign.ask()


def test_finish_wants_no_designs(tmp_path):
    campaign = world.create(tmp_path, proposer=world.words("abcd"))
    with pytest.raises(CampaignError, match="asked for 0 designs and gave 1"):
        campaign.finish()


@pytest.mark.parametrize("bad", [0, -1, 2.5, "3", True, None, float("nan")])
def test_numbers_of_a_campaign(tmp_path, bad):
    with pytest.raises(ParameterError, match=r"`budget` must be a whole number >= 1; got"):
        world.create(tmp_path / "a", budget=bad)
    with pytest.raises(ParameterError, match=r"`num_queries` must be a whole number >= 1"):
        world.create(tmp_path / "b", num_queries=bad)
    assert list(tmp_path.iterdir()) == []
    campaign = world.create(tmp_path / "c")
    if bad is not None:
        with pytest.raises(ParameterError, match="`num_queries`"):
            campaign.ask(bad)
    with pytest.raises(ParameterError, match="`k`"):
        campaign.best(bad)
    with pytest.raises(ParameterError, match=r"`seed` must be a whole number; got 0.5"):
        world.create(tmp_path / "d", seed=0.5)


def test_opened_with_another_domain(tmp_path):
    world.create(tmp_path)
    with pytest.raises(CampaignError, match=r"is about 'words' designs .* domain 'images'"):
        Campaign.open(tmp_path, domain=world.domain(name="images"), proposer=world.Drawer())


def test_a_domain_that_cannot_read_the_designs(tmp_path):
    world.create(tmp_path).ask()

    def broken(content):
        raise ValueError("not mine")

    other = Campaign.open(tmp_path, domain=world.domain(from_bytes=broken), proposer=world.Drawer())
    with pytest.raises(CampaignError, match="Trial 0 cannot be read by the domain 'words': not mine"):
        _ = other.trials


def test_created_twice(tmp_path):
    world.create(tmp_path)
    with pytest.raises(CampaignError, match=r"holds a campaign already.*Campaign.open"):
        world.create(tmp_path, budget=99)
    assert world.reopen(tmp_path).status().budget == 12


def test_one_ask_at_a_time(tmp_path):
    campaign = world.create(tmp_path)
    trials = campaign.ask()
    with exclusive(tmp_path):
        with pytest.raises(CampaignError, match=r"is being asked by another run \(process \d+\)"):
            campaign.ask()
        with pytest.raises(CampaignError, match="is being asked"):
            campaign.finish()
        campaign.tell(world.scores(trials))
    assert len(campaign.ask()) == 3


def test_every_error_is_ours():
    for kind in (CampaignError, ObservationError, ParameterError, TrialError):
        assert issubclass(kind, SeikoError)
