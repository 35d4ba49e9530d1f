"""Points of a campaign, each sent once; real event files and, where it is installed, a real MLflow."""

from __future__ import annotations

import json
import sys
import warnings

import pytest

from campaign_pages import attach, begun, score, tell, whole
from seiko.errors import CampaignError, MissingDependencyError, ParameterError
from seiko.records import Observation
from seiko.tracking import Tracker, TrackingWarning, open_sink, points, publish
from seiko.tracking.base import identity_of


class Kept:
    """A sink that keeps what it is told; `faults` calls of `send` fail first."""

    def __init__(self, faults=0):
        self.points, self.event, self.faults, self.begun, self.closed = [], 0, faults, [], 0

    def begin(self, name, identity, settings):
        self.begun.append((name, identity, settings))
        return self.event

    def send(self, points, last_event):
        if self.faults:
            self.faults -= 1
            raise ConnectionError("no route")
        self.points += points
        self.event = last_event

    def close(self):
        self.closed += 1


@pytest.fixture
def campaign(tmp_path):
    return whole(tmp_path / "campaign", rounds=2, config={"method.name": "words"})


def test_the_points_agree_with_the_campaign(campaign):
    found = list(points(campaign.journal))
    rounds = [p for p in found if p.axis == "round"]
    readings = [p for p in found if p.axis == "reading"]
    assert [(p.step, p.values.get("kl/pretrained_nats")) for p in rounds] == [(0, 0.0), (1, 1.5)]
    assert [p.step for p in readings] == list(range(1, len(readings) + 1))
    assert [p.event for p in found] == sorted(p.event for p in found)
    last, status = readings[-1].values, campaign.status()
    top = [t.value for t in campaign.best(10)]
    assert last["reading/best"] == status.best_value == 9.25
    assert last["reading/best_ten"] == pytest.approx(sum(top) / 10)
    assert (last["reading/failed"], last["reading/infeasible"]) == (status.num_failed, status.num_infeasible)


def test_replicates_corrections_and_retries_count_as_the_campaign_counts_them(tmp_path):
    campaign = begun(tmp_path / "campaign", num_queries=4)
    a, b, c, d = (t.id for t in campaign.ask())
    campaign.tell({a: Observation.replicates([1.0, 3.0]), b: 5.0, c: Observation.failed(), d: 0.0})
    campaign.amend({b: Observation.infeasible("lost")}, reason="it had none")
    campaign.retry([c])
    campaign.tell({c: 1.5})
    values = [p.values for p in points(campaign.journal) if p.axis == "reading"]
    assert [v.get("reading/value") for v in values] == [1.0, 3.0, 5.0, None, 0.0, None, 1.5]
    assert [v["reading/best"] for v in values] == [1.0, 2.0, 5.0, 5.0, 5.0, 2.0, 2.0]
    assert [v["reading/failed"] for v in values] == [0, 0, 0, 1, 1, 1, 0]
    assert values[-1]["reading/infeasible"] == 1
    assert values[-1]["reading/best_ten"] == pytest.approx((2.0 + 1.5 + 0.0) / 3)


def test_each_point_is_sent_once(campaign):
    sink = Kept()
    tracker = Tracker(campaign.journal, sink)
    assert tracker() == len(sink.points) == len(list(points(campaign.journal)))
    assert tracker() == 0
    open_ids = [t.id for t in campaign.trials if t.state.is_open]
    campaign.tell({open_ids[0]: 1.0})
    assert tracker("whatever", "is given") == 1
    another = Tracker(campaign.journal, sink)
    assert another() == 0
    another.close()
    assert sink.points == list(points(campaign.journal)) and sink.closed == 1
    name, identity, settings = sink.begun[0]
    assert name == "first" and settings["method.name"] == "words" and identity.isalnum()


def test_no_two_campaigns_share_an_identity(campaign, tmp_path):
    other = begun(tmp_path / "other", name="first")
    assert identity_of(campaign.journal) != identity_of(other.journal)
    assert identity_of(campaign.journal) == identity_of(campaign.journal)


def test_a_sink_that_fails_never_stops_a_run(campaign):
    sink = Kept(faults=1)
    tracker = Tracker(campaign.journal, sink)
    with pytest.warns(TrackingWarning, match="Kept could not be told: ConnectionError: no route"):
        assert tracker() == 0
    assert tracker() == len(list(points(campaign.journal)))
    with pytest.raises(CampaignError, match="no route"):
        publish(campaign.journal, Kept(faults=1))


def test_addresses():
    for address in ("tensorboard", "tensorboard:", "paper:notes", ""):
        with pytest.raises(ParameterError, match="names no tracker"):
            open_sink(address)


@pytest.mark.parametrize(
    ("address", "module", "package"),
    [
        ("tensorboard:x", "tensorboard.compat.proto.event_pb2", "tensorboard"),
        ("mlflow:x", "mlflow", "mlflow"),
        ("wandb:x", "wandb", "wandb"),
    ],
)
def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path, address, module, package):
    monkeypatch.chdir(tmp_path)
    for name in ("mlflow.entities", module):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match=rf"needs the package {package}.*seiko\[{package}\]"):
        open_sink(address)
    assert list(tmp_path.iterdir()) == []


def scalars(folder):
    """What TensorBoard itself reads from a folder."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {name: [(e.step, e.value) for e in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_tensorboard_reads_what_was_written(campaign, tmp_path):
    pytest.importorskip("tensorboard")
    sent = publish(campaign.journal, open_sink(f"tensorboard:{tmp_path / 'logs'}"))
    assert sent == len(list(points(campaign.journal)))
    found = scalars(tmp_path / "logs")
    assert found["kl/pretrained_nats"] == [(0, 0.0), (1, 1.5)]
    values = [p.values["reading/value"] for p in points(campaign.journal) if "reading/value" in p.values]
    assert [v for _, v in found["reading/value"]] == pytest.approx(values)
    assert publish(campaign.journal, open_sink(f"tensorboard:{tmp_path / 'logs'}")) == 0
    tell(campaign, campaign.ask())
    assert publish(campaign.journal, open_sink(f"tensorboard:{tmp_path / 'logs'}")) > 0
    steps = [step for step, _ in scalars(tmp_path / "logs")["reading/failed"]]
    assert steps == list(range(1, len(steps) + 1))


def test_a_folder_of_another_campaign_or_a_broken_one_is_refused(campaign, tmp_path):
    pytest.importorskip("tensorboard")
    publish(campaign.journal, open_sink(f"tensorboard:{tmp_path / 'logs'}"))
    other = begun(tmp_path / "other")
    attach(other)
    with pytest.raises(ParameterError, match="holds another campaign"):
        publish(other.journal, open_sink(f"tensorboard:{tmp_path / 'logs'}"))
    for broken in ("[]", "{", json.dumps({"event": "x", "identity": 1})):
        (tmp_path / "logs" / "seiko.json").write_text(broken)
        with pytest.raises(ParameterError, match="cannot be used for TensorBoard"):
            publish(campaign.journal, open_sink(f"tensorboard:{tmp_path / 'logs'}"))


def test_mlflow_holds_what_was_sent(campaign, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    from seiko.tracking.mlflow import MLflow

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = f"file:{tmp_path / 'server'}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        publish(campaign.journal, MLflow("tests", uri=uri))
        tell(campaign, campaign.ask())
        publish(campaign.journal, MLflow("tests", uri=uri))
        assert publish(campaign.journal, MLflow("tests", uri=uri)) == 0
        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name("tests").experiment_id
        (run,) = client.search_runs([experiment])
        history = client.get_metric_history(run.info.run_id, "reading/failed")
    readings = [p for p in points(campaign.journal) if p.axis == "reading"]
    assert sorted(m.step for m in history) == [p.step for p in readings]
    assert run.data.params["method.name"] == "words" and run.info.status == "FINISHED"


def test_wandb_takes_it_offline(campaign, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    for name, value in {"MODE": "offline", "DIR": str(tmp_path), "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    assert publish(campaign.journal, open_sink("wandb:tests")) == len(list(points(campaign.journal)))
    assert list(tmp_path.glob("wandb/offline-run-*/*.wandb"))


def test_it_fits_a_run(tmp_path):
    from seiko.campaign import CallableFeedback, run

    campaign, sink = begun(tmp_path / "campaign", num_queries=250), Kept()
    run(campaign, CallableFeedback(score), progress=Tracker(campaign.journal, sink))
    assert [p.step for p in sink.points if p.axis == "round"] == [0, 1]
    assert sum(p.axis == "reading" for p in sink.points) == 500
