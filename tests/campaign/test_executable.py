"""Executables that answer, lie, hang and die."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
import warnings
from pathlib import Path

import campaign_world as world
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seiko.campaign.feedback import ExecutableFeedback
from seiko.campaign.feedback.executable import OracleWarning
from seiko.campaign.feedback.messages import MessageError, read_answer, request
from seiko.errors import ObservationError, ParameterError, SeikoError
from seiko.records import Observation, Trial, TrialState

ORACLE = [sys.executable, "-S", str(Path(__file__).with_name("oracle.py"))]
WORDS = ["a", "bb", "ccc", "dddd"]


def trials(words=WORDS):
    return [Trial(10 + i, 0, word, word) for i, word in enumerate(words)]


def told_lines(tmp_path, *lines):
    """What a campaign is told when an executable writes these lines for trials 10 to 13."""
    file = tmp_path / "lines"
    file.write_bytes(
        b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    )
    found = {}
    for batch in ExecutableFeedback([*ORACLE, "lines", str(file)]).stream(trials()):
        found.update(batch)
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(pid, seconds=5):
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_running(pid)


def test_values_in_order():
    with ExecutableFeedback([*ORACLE, "answer"]) as feedback:
        assert [o.value for o in feedback.evaluate(WORDS)] == [1, 2, 3, 4]
        assert feedback.evaluate([]) == []


def test_what_the_executable_is_given():
    def sent(**changes):
        feedback = ExecutableFeedback([*ORACLE, "echo"], domain=world.domain(**changes))
        return json.loads(feedback.evaluate(["abcd"])[0].note)

    assert sent() == {"v": 1, "trial_id": 0, "design": "abcd", "media_type": "text/plain"}
    binary = sent(to_bytes=lambda w: b"\xff" + w.encode(), media_type="image/png")
    assert binary == {
        "v": 1,
        "trial_id": 0,
        "design": base64.b64encode(b"\xffabcd").decode(),
        "encoding": "base64",
        "media_type": "image/png",
    }


def test_answers_are_passed_on_as_they_come():
    times = []
    for _ in ExecutableFeedback([*ORACLE, "slow", "0.4"]).stream(trials()):
        times.append(time.monotonic())
    assert len(times) == 4
    assert times[-1] - times[0] > 0.8


@pytest.mark.parametrize(("how", "code"), [("exit", 7), ("kill", -9)])
def test_an_executable_that_ends_early_keeps_what_it_answered(how, code):
    found = ExecutableFeedback([*ORACLE, "die", how]).evaluate(WORDS)
    assert [o.value for o in found] == [1, 2, None, None]
    assert f"(exit code {code})" in found[2].note
    assert found[3].note.endswith("standard error ends: licence server not found")


def test_a_silent_executable_is_ended_with_what_it_started(tmp_path):
    feedback = ExecutableFeedback([*ORACLE, "hang", str(tmp_path / "pids")], timeout=1.5)
    found = feedback.evaluate(WORDS)
    assert [o.value for o in found] == [1, 2, None, None]
    assert found[2].note == "no answer for 1.5 s; standard error ends: waiting for the robot"
    assert all(ends(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_one_that_does_not_listen_is_forced(tmp_path):
    feedback = ExecutableFeedback([*ORACLE, "stubborn", str(tmp_path / "pid")], timeout=1.5)
    assert feedback.evaluate(["a"])[0].state is TrialState.FAILED
    assert ends(int((tmp_path / "pid").read_text()))


def test_closing_the_stream_ends_it(tmp_path):
    stream = ExecutableFeedback([*ORACLE, "hang", str(tmp_path / "pids")]).stream(trials())
    next(stream)
    while not (tmp_path / "pids").exists() or len((tmp_path / "pids").read_text().split()) < 2:
        time.sleep(0.05)
    stream.close()
    assert all(ends(int(pid)) for pid in (tmp_path / "pids").read_text().split())


def test_one_that_runs_on_after_its_last_answer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("seiko.campaign.feedback.executable.LINGER", 0.5)
    start = time.monotonic()
    assert [o.value for o in ExecutableFeedback([*ORACLE, "linger"]).evaluate(["a", "bb"])] == [1, 2]
    assert time.monotonic() - start < 10


def test_batches_and_a_process_that_stays():
    fresh = ExecutableFeedback([*ORACLE, "count"], batch_size=2).evaluate(WORDS)
    assert len({o.value for o in fresh}) == 2
    with ExecutableFeedback([*ORACLE, "count"], batch_size=2, persistent=True) as staying:
        pids = {o.value for o in staying.evaluate(WORDS) + staying.evaluate(WORDS)}
        assert len(pids) == 1
    assert ends(int(pids.pop()))


def test_a_staying_process_that_died_is_started_again():
    with ExecutableFeedback([*ORACLE, "die"], persistent=True) as feedback:
        first, second = feedback.evaluate(WORDS), feedback.evaluate(WORDS[:2])
    assert [o.value for o in first] == [1, 2, None, None]
    assert [o.value for o in second] == [1, 2]


def test_many_designs_do_not_block_the_pipes():
    words = ["x" * 200] * 3000
    assert all(o.value == 200 for o in ExecutableFeedback([*ORACLE, "answer"]).evaluate(words))


def test_no_shell_reads_the_command(tmp_path):
    target = tmp_path / "made by a shell"
    words = [f"$(touch '{target}')", "; exit 1", "`id`"]
    feedback = ExecutableFeedback([*ORACLE, "answer", f"; touch '{target}'"])
    assert [o.value for o in feedback.evaluate(words)] == [len(w) for w in words]
    assert not target.exists()


@pytest.mark.parametrize("command", ["./dock --fast", [], [3], ["a\x00b"], None, b"dock"])
def test_commands_that_are_no_lists_of_text(command):
    with pytest.raises(ParameterError, match="`command` must"):
        ExecutableFeedback(command)


def test_one_that_cannot_be_started(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("no program")
    for command in (["/no/such/program"], [str(plain)]):
        with pytest.raises(ObservationError, match=r"cannot be started: .*Nothing was told"):
            ExecutableFeedback(command).evaluate(["a"])
    with pytest.raises(ParameterError, match="must be text for an executable without `domain`; got int"):
        ExecutableFeedback([*ORACLE, "answer"]).evaluate([3])


def test_full_answers(tmp_path):
    found = told_lines(
        tmp_path,
        {"v": 1, "trial_id": 11, "value": 2, "sem": 0.25, "status": "complete", "message": "well B7"},
        {"v": 1, "trial_id": 10, "value": None, "sem": None, "status": "infeasible", "message": "no fold"},
        b"",
        {"v": 1, "trial_id": 13, "status": "failed", "message": "bubble"},
        {"v": 1, "trial_id": 12, "value": -1e-300, "extra": "ignored"},
    )
    assert found == {
        11: Observation(2.0, noise_std=0.25, note="well B7"),
        10: Observation.infeasible("no fold"),
        13: Observation.failed("bubble"),
        12: Observation(-1e-300),
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"v": 2, "trial_id": 10, "value": 1.0}, "`v` must be 1; got 2"),
        ({"trial_id": 10, "value": 1.0}, "`v` must be 1; got None"),
        ({"v": True, "trial_id": 10, "value": 1.0}, "`v` must be 1; got True"),
        (b'{"v": 1, "trial_id": 10, "value": NaN}', "`value` must be finite; got nan"),
        (b'{"v": 1, "trial_id": 10, "value": -Infinity}', "`value` must be finite; got -inf"),
        (b'{"v": 1, "trial_id": 10, "value": 1e999}', "`value` must be finite; got inf"),
        (b'{"v": 1, "trial_id": 10, "value": 1' + b"0" * 400 + b"}", "`value` must be finite"),
        ({"v": 1, "trial_id": 10, "value": "0.5"}, "`value` must be a number; got '0.5'"),
        ({"v": 1, "trial_id": 10, "value": True}, "`value` must be a number; got True"),
        ({"v": 1, "trial_id": 10, "value": 1.0, "sem": -0.1}, "`sem` must be finite and >= 0"),
        ({"v": 1, "trial_id": 10, "value": 1.0, "status": "failed"}, "a failed answer has no `value`"),
        ({"v": 1, "trial_id": 10, "status": "complete"}, "`value` must be a number; got None"),
        (
            {"v": 1, "trial_id": 10, "value": 1.0, "status": "done"},
            "`status` must be one of complete, failed",
        ),
        ({"v": 1, "trial_id": 10, "value": 1.0, "message": [1]}, "`message` must be text"),
    ],
)
def test_a_faulty_answer_fails_its_trial_and_says_why(tmp_path, line, reason):
    rest = [{"v": 1, "trial_id": id_, "value": 0.5} for id_ in (11, 12, 13)]
    found = told_lines(tmp_path, line, *rest)
    assert [found[id_].value for id_ in (10, 11, 12, 13)] == [None, 0.5, 0.5, 0.5]
    assert found[10].state is TrialState.FAILED
    assert reason in found[10].note


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"docking 1abc ...", "not a line of JSON (JSONDecodeError): docking 1abc ..."),
        (b"\xff\xfe{}", "not a line of JSON (UnicodeDecodeError)"),
        (b"[" * 100_000, "not a line of JSON"),
        (b"[1, 2]", "not a JSON object: [1, 2]"),
        (b'{"v": 1, "trial_id": 10, "value": 1, "value": 2}', "not a line of JSON (ValueError)"),
        ({"v": 1, "trial_id": "10", "value": 1.0}, "`trial_id` must be a whole number; got '10'"),
        ({"v": 1, "trial_id": 10.0, "value": 1.0}, "`trial_id` must be a whole number; got 10.0"),
        ({"v": 1, "trial_id": True, "value": 1.0}, "`trial_id` must be a whole number; got True"),
        ({"v": 1, "trial_id": 99, "value": 1.0}, "an answer for the unknown trial 99"),
        ({"v": 2, "trial_id": 99, "value": 1.0}, "`v` must be 1"),
    ],
)
def test_a_line_of_nobody_is_not_used_and_told_of(tmp_path, line, reason):
    rest = [{"v": 1, "trial_id": id_, "value": 0.5} for id_ in (11, 12, 13)]
    with pytest.warns(OracleWarning, match="1 lines that were not used"):
        found = told_lines(tmp_path, line, *rest)
    assert [found[id_].value for id_ in (10, 11, 12, 13)] == [None, 0.5, 0.5, 0.5]
    assert "ended without an answer (exit code 0)" in found[10].note
    assert reason in found[10].note


def test_of_two_answers_the_first_counts(tmp_path):
    lines = [{"v": 1, "trial_id": id_, "value": 0.5} for id_ in (10, 11, 12, 13)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert told_lines(tmp_path, *lines, lines[0])[10].value == 0.5
    with pytest.warns(OracleWarning, match="a second answer for trial 10"):
        found = told_lines(tmp_path, *lines, {"v": 1, "trial_id": 10, "value": 0.7})
    assert found[10].value == 0.5


def test_an_endless_line_is_not_read_to_its_end(tmp_path):
    with pytest.warns(OracleWarning):
        found = told_lines(tmp_path, b"x" * (3 << 20))
    assert all(o.state is TrialState.FAILED and len(o.note) < 2100 for o in found.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "v": st.sampled_from([1, 1, 1, 2, "1", None]),
        "trial_id": st.sampled_from([10, 11, 12, 13, 14, -1, "10", 1e400, 10**30]) | JSON,
        "value": st.floats() | JSON,
        "sem": st.none() | st.floats() | JSON,
        "status": st.sampled_from(["complete", "failed", "infeasible", "stale", ""]) | JSON,
        "message": st.text() | JSON,
    },
)
LINES = (
    st.binary(max_size=60)
    | st.text(max_size=60).map(lambda t: t.encode("utf-8", "replace"))
    | NEARLY.map(lambda d: json.dumps(d).encode())
    | st.tuples(NEARLY, st.integers(0, 40)).map(lambda p: json.dumps(p[0]).encode()[: p[1]])
)


@settings(max_examples=500, deadline=None)
@given(LINES)
def test_any_line_is_an_answer_or_our_error(line):
    try:
        id_, observation = read_answer(line)
    except MessageError:
        return
    assert type(id_) is int
    message = json.loads(line)
    assert (message["v"], message["trial_id"]) == (1, id_)
    if observation.state is TrialState.COMPLETE:
        assert float(message["value"]) == observation.value
    observation.note.encode()
    assert "\x00" not in observation.note


@settings(max_examples=40, deadline=None)
@given(st.lists(LINES, max_size=12))
def test_any_output_gives_each_trial_one_observation(lines):
    file = Path(os.environ.get("TMPDIR", "/tmp")) / f"seiko-fuzz-{os.getpid()}"
    file.write_bytes(b"\n".join(lines))
    found = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OracleWarning)
            for batch in ExecutableFeedback(["/bin/cat", str(file)]).stream(trials()):
                assert not set(batch) & set(found)
                found.update(batch)
    except SeikoError as error:  # nothing that a program writes is an error of ours
        raise AssertionError("an error") from error
    finally:
        file.unlink()
    assert set(found) == {10, 11, 12, 13}
    valid = {}
    for line in b"\n".join(lines).split(b"\n"):
        try:
            id_, observation = read_answer(line)
        except MessageError as error:
            if error.trial_id is not None:
                valid.setdefault(error.trial_id, None)
            continue
        valid.setdefault(id_, observation)
    for id_, observation in found.items():
        assert observation == valid[id_] if valid.get(id_) else observation.state is TrialState.FAILED


def test_requests_are_one_line_whatever_the_design():
    line = request(3, 'two\nlines "quoted" é'.encode(), "text/plain")
    assert line.count(b"\n") == 1
    assert json.loads(line)["design"] == 'two\nlines "quoted" é'
