"""Filled sheets: what is said is taken, what is wrong is named by row, and nothing is taken then."""

from __future__ import annotations

import pytest

from seiko.errors import TableError
from seiko.records import TrialState
from seiko.tables import Formula, Options, Row, read_sheet


def sheet(*rows, **options):
    numbered = [Row(number, cells) for number, cells in enumerate(rows, start=2)]
    return read_sheet(numbered, "a.csv", **options)


def problems(*rows, **options):
    with pytest.raises(TableError) as caught:
        sheet(*rows, **options)
    return caught.value.problems


def test_every_kind_of_outcome():
    found = sheet(
        {"trial_id": "0", "value": "0.5", "status": ""},
        {"trial_id": 1.0, "value": 2, "status": " Complete ", "noise_std": "0.1", "note": " well A1 "},
        {"trial_id": "2", "value": None, "status": "FAILED", "note": "broke"},
        {"trial_id": "3", "value": "", "status": "infeasible"},
        {"trial_id": "4", "value": "", "status": "abandoned"},
        {"trial_id": "5", "value": " ", "status": ""},
        {"trial_id": "6", "value": "", "status": "pending"},
    )
    entries = [reading.entries[0] for reading in found.readings]
    assert [e.trial_id for e in entries] == [0, 1, 2, 3, 4]
    assert [str(e.state) for e in entries] == ["complete", "complete", "failed", "infeasible", "abandoned"]
    assert [e.value for e in entries] == [0.5, 2.0, None, None, None]
    assert (entries[1].noise_std, entries[1].note, entries[2].note) == (0.1, "well A1", "broke")
    assert found.unmeasured == 2


def test_replicates_are_rows():
    found = sheet(
        {"trial_id": 3, "value": 1, "replicate": 1},
        {"trial_id": 3, "value": 2, "replicate": "2"},
        {"trial_id": 3, "status": "failed", "replicate": "B7", "value": ""},
        {"trial_id": 4, "value": 5, "replicate": None},
    )
    assert [[e.value for e in r.entries] for r in found.readings] == [[1, 2, None], [5]]
    assert [e.replicate for e in found.readings[0].entries] == [1, 2, "B7"]
    assert (found.readings[0].row, found.readings[1].row) == (2, 5)


@pytest.mark.parametrize(
    ("second", "row"),
    [
        ({"trial_id": 3, "value": 2}, 3),
        ({"trial_id": 3, "value": 1}, 3),
        ({"trial_id": 3, "value": 2, "replicate": 1}, 3),
    ],
)
def test_duplicates_are_errors(second, row):
    for first in ({"trial_id": 3, "value": 1}, {"trial_id": 3, "value": 1, "replicate": 1}):
        if first.get("replicate") == second.get("replicate"):
            [(found, what)] = problems(first, second)
            assert found == row
            assert "Trial 3 is in row 2 already" in what


def test_replicates_that_do_not_go_together():
    [(row, what)] = problems(
        {"trial_id": 3, "value": 1, "replicate": 1}, {"trial_id": 3, "status": "infeasible", "replicate": 2}
    )
    assert row == 3
    assert "complete and infeasible" in what


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"trial_id": ""}, "`trial_id` is empty"),
        ({"trial_id": "x"}, "`trial_id` is 'x'; it must be a whole number"),
        ({"trial_id": "-1"}, "whole number from 0 up"),
        ({"trial_id": True}, "whole number"),
        ({"trial_id": 0, "value": "high"}, "`value` is 'high', which is no number"),
        ({"trial_id": 0, "value": Formula("=A1*2")}, "the formula '=A1*2'"),
        ({"trial_id": 0, "value": "1,5"}, "decimal comma"),
        ({"trial_id": 0, "value": 1, "status": "failed"}, "failed, which has no `value`"),
        ({"trial_id": 0, "value": 1, "status": "pending"}, "pending but there is a `value`"),
        ({"trial_id": 0, "status": "complete"}, "`value` is empty"),
        ({"trial_id": 0, "status": "faild"}, "Did you mean failed?"),
        ({"trial_id": 0, "status": 7}, "must be empty or one of"),
        ({"trial_id": 0, "noise_std": 1}, "without a `value`"),
        ({"trial_id": 0, "value": 1, "noise_std": -1}, "at least 0"),
        ({"trial_id": 0, "value": 1, "noise_std": 1, "sem": 1}, "leave one empty"),
        ({"trial_id": 0, "value": 1, "replicate": -1}, "`replicate`"),
        ({"trial_id": 0, "value": 1, "replicate": "../x"}, "`replicate`"),
        ({"trial_id": 0, "value": 1, "replicate": "a" * 65}, "`replicate`"),
        ({"trial_id": 0, "value": 1, "cost": -1}, "`cost`"),
        ({"trial_id": 0, "value": 1, "note": Formula("=HYPERLINK(1)")}, "`note` is the formula"),
        ({"trial_id": 0, "value": 1, "note": "x" * 20_000}, "at most 10000"),
        ({"trial_id": 0, "value": 1, "design": ""}, "`design` is empty"),
        ({"trial_id": 0, "value": 1, "design": 12}, "is a number and no text"),
        ({"trial_id": 0, "value": 1, "design": Formula("=CC")}, "put an apostrophe before it"),
    ],
)
def test_what_a_row_may_not_say(cells, words):
    [(row, what)] = problems({"value": "", "status": "", **cells})
    assert row == 2
    assert words in what


def test_a_note_may_begin_with_a_sign():
    found = sheet({"trial_id": 0, "value": 1, "note": Formula("- diluted")})
    assert found.readings[0].entries[0].note == "- diluted"


def test_all_wrong_rows_are_named_at_once():
    rows = [{"trial_id": i, "value": "x"} for i in range(30)]
    found = problems(*rows)
    assert [row for row, _ in found] == list(range(2, 32))
    with pytest.raises(TableError, match=r"30 errors(?s:.*)row 21: (?s:.*)and 10 more"):
        sheet(*rows)


def test_misspelled_and_foreign_columns():
    assert "did you mean `value`" in problems({"trial_id": 1, "valeu": 2, "status": ""})[0][1]
    assert "did you mean `noise_std`" in problems({"trial_id": 1, "value": 2, "noise_sd": 2})[0][1]
    found = sheet({"trial_id": 1, "value": 2, "design": "CC", "designer": "Ann", "plate": 3})
    assert found.ignored_columns == ["designer", "plate"]
    assert "no column `trial_id`; the columns are 'value'" in problems({"value": 1})[0][1]
    assert "says nothing" in problems({"trial_id": 1, "x": 2})[0][1]


def test_a_callers_check_and_identity():
    rows = [{"design": "OC", "value": 1}, {"design": "CO", "value": 2}]
    [(row, what)] = problems(*rows, about="designs", identity=lambda entry: sorted(entry.design)[0])
    assert (row, what.startswith("This design is in row 2 already")) == (3, True)
    found = problems(*rows, about="designs", check=lambda entry: "no" if entry.design == "CO" else None)
    assert found == ((3, "no"),)
    assert "no column `design`" in problems({"value": 1}, about="designs")[0][1]


def test_sem_is_the_noise_of_the_value_and_commas_can_be_read():
    found = sheet({"trial_id": 0, "value": "0,5", "sem": "0,1"}, options=Options(decimal="comma"))
    entry = found.readings[0].entries[0]
    assert (entry.value, entry.noise_std, entry.state) == (0.5, 0.1, TrialState.COMPLETE)


def test_an_empty_sheet_says_nothing():
    assert sheet().readings == []
