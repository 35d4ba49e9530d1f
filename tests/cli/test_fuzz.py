"""Thousands of broken tables: row-numbered errors, all or nothing, never a traceback."""

from __future__ import annotations

import json
import random

import pytest

from command_line import begun, data, done, seiko

SEPARATORS = [",", ";", "\t"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "utf-32", "cp1252"]
CELLS = [
    "", " ", "0", "1", "2", "3", "7", "8", "-1", "0.5", "1e5", "1e400", "-1e999", "nan", "inf", "NaN",
    "Infinity", "0,5", "1,234.5", "=1+1", "+1", "@x", "-x", "'=1", "=cmd|' /C calc'!A0", "true", "None",
    "null", "complete", "failed", "infeasible", "abandoned", "pending", "COMPLETE ", "faild", "C:\\x",
    "../../etc/passwd", "a\0b", "é", "½", "１", "٣", '"', '""', "a\nb", "a\rb", "x" * 3000, "9" * 400,
    "0x10", "1_0", "2024-01-03", "\ufeff", "\u202e", "trial-3", "1.0", "1.5", "[1]", "{}", "💥",
]  # fmt: skip
COLUMNS = ["trial_id", "design", "value", "noise_std", "sem", "replicate", "status", "note", "round",
           "predicted_mean", "valeu", "Trial ID", "", "x", "cost", "value", "=1"]  # fmt: skip


def broken_rows(rng, good):
    """The batch with something wrong in it, or nothing, as text cells."""
    header, rows = list(good[0]), [list(row.values()) for row in good]
    for row in rows:
        if rng.random() < 0.5:
            row[header.index("value")] = repr(rng.gauss(0, 1))
    for _ in range(rng.choice([0, 1, 1, 2, 4, 10])):
        deed, place = rng.randrange(8), rng.randrange(len(rows)) if rows else 0
        if not rows:
            break
        if deed <= 3:
            rows[place][rng.randrange(len(rows[place]))] = rng.choice(CELLS)
        elif deed == 4:
            rows.insert(place, list(rng.choice(rows)))
        elif deed == 5:
            del rows[place]
        elif deed == 6:
            header[rng.randrange(len(header))] = rng.choice(COLUMNS)
        else:
            rows[place] = (rows[place] + [rng.choice(CELLS)] * rng.randrange(3))[: rng.randrange(1, 13)] or [
                ""
            ]
    return header, rows


def broken_bytes(rng, header, rows):
    if rng.random() < 0.3:
        lines = [json.dumps(dict(zip(header, row, strict=False))) for row in rows]
        text, ending = "\n".join(lines).replace('"nan"', "NaN").replace('"inf"', "Infinity"), "jsonl"
    else:
        mark = rng.choice(SEPARATORS)
        quoted = [
            [f'"{c}"' if mark in c and rng.random() < 0.7 else c for c in row] for row in [header, *rows]
        ]
        text, ending = (
            "\n".join(mark.join(row) for row in quoted) + rng.choice(["", "\n", "\r\n", '\n"']),
            "csv",
        )
    content = text.encode(rng.choice(ENCODINGS) if rng.random() < 0.4 else "utf-8", errors="replace")
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        if content:
            place = rng.randrange(len(content))
            content = content[:place] + bytes([rng.randrange(256)]) + content[place + rng.randrange(2) :]
    if rng.random() < 0.1:
        content = content[: rng.randrange(len(content) + 1)]
    return content, ending


def check_tables(lab, good, count, seed):
    """Each broken table is refused in words with rows, or all of it is right; a dry run never writes."""
    rng = random.Random(seed)
    before = data("status", lab)
    outcomes = {0: 0, 2: 0, 4: 0}
    for number in range(count):
        content, ending = broken_bytes(rng, *broken_rows(rng, good))
        path = lab / f"fuzz.{ending}"
        path.write_bytes(content)
        verb = (
            ["tell", lab, path, "--dry-run"]
            if number % 20
            else ["tell", lab, path, "--dry-run", "--decimal", "comma"]
        )
        result = seiko(*verb, "--json")
        crashed = result.exception is not None and not isinstance(result.exception, SystemExit)
        assert not crashed, (seed, number, content, result.exc_info)
        assert result.exit_code in outcomes, (content, result.output)
        outcomes[result.exit_code] += 1
        if result.exit_code == 2:
            error = json.loads(result.stderr.strip().splitlines()[-1])["error"]
            assert error["problems"], (content, error)
            assert all(0 <= problem["row"] <= 60 and problem["what"] for problem in error["problems"])
            assert "Traceback" not in result.output
    assert data("status", lab) == before
    return outcomes


def asked(tmp_path):
    lab = begun(tmp_path / "lab", num_queries=12)
    done("ask", lab, "--out", lab / "batch.csv")
    from command_line import read_csv

    return lab, read_csv(lab / "batch.csv")


def test_some_hundred_broken_tables(tmp_path):
    outcomes = check_tables(*asked(tmp_path), 200, seed=1)
    assert min(outcomes[0], outcomes[2]) > 15


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_broken_tables(tmp_path, seed):
    outcomes = check_tables(*asked(tmp_path), 1000, seed=100 + seed)
    assert min(outcomes[0], outcomes[2]) > 80


def test_a_broken_table_really_told_leaves_the_campaign_as_it_was_or_takes_all(tmp_path):
    lab, good = asked(tmp_path)
    rng = random.Random(5)
    for _ in range(40):
        content, ending = broken_bytes(rng, *broken_rows(rng, good))
        path = lab / f"fuzz.{ending}"
        path.write_bytes(content)
        before = data("status", lab)
        result = seiko("tell", lab, path, "--json")
        assert result.exit_code in (0, 2, 4)
        if result.exit_code:
            assert data("status", lab) == before
        else:
            changed = len(json.loads(result.stdout)["changed"])
            after = data("status", lab)
            settled = [
                sum(s[f"num_{n}"] for n in ("complete", "failed", "infeasible", "abandoned"))
                for s in (before, after)
            ]
            assert settled[1] - settled[0] <= changed
