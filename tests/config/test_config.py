"""The campaign file: every default explained, every error with its line, key and nearest spelling."""

from __future__ import annotations

import doctest
from dataclasses import replace
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seiko.config import Config, find, fixed_differences, load, override, template
from seiko.config.settings import ATTRIBUTES, SETTINGS, fixed_values
from seiko.errors import ConfigError, MissingDependencyError, ParameterError, SeikoError

STYLES = ["toml", "yaml"]
FULL = Config(
    name="Plate 7", chain="models:load", num_steps=16, num_queries=24, seed=3, store="postgresql://lab/db#p7",
    max_retries=1, stale_seconds=60.0, budget=240.5, unit="EUR", cost=2.5, charge_retries=True,
    refund=("failed", "abandoned"), method="greedy", arguments={"exploration": 0.5, "of": [1, 2], "a b": "="},
    python="rewards:score", batched=True, noise_std=0.25, timeout_seconds=9.5, retries=2, executor="threads",
    workers=7,
)  # fmt: skip


def written(tmp_path, text, style="toml"):
    path = tmp_path / f"campaign.{style}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(tmp_path, text, style="toml"):
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, text, style))
    return str(caught.value)


@pytest.mark.parametrize("name", ["checking", "files", "settings", "template"])
def test_examples(name):
    found = doctest.testmod(import_module(f"seiko.config.{name}"), optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    "config", [Config(), FULL, replace(FULL, python=None, command=("./a b", '"', "\\", "é"))]
)
def test_what_is_written_is_read_again(tmp_path, style, config):
    assert load(written(tmp_path, template(config, style), style)) == config
    assert load(tmp_path) == config


@pytest.mark.parametrize("style", STYLES)
def test_the_file_explains_every_setting_and_its_default(style):
    text = template(Config(), style)
    plain = " ".join(text.replace("#", " ").split())
    for key, setting in SETTINGS.items():
        assert key.partition(".")[2].partition(".")[0] in text
        assert setting.help[:40] in plain
        assert not setting.default or str(setting.default).strip("()").lower() in plain.lower()
    assert text.count("FIXED.") == sum(setting.fixed for setting in SETTINGS.values())
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seed", "sed", "There is no setting `campaign.sed`; did you mean `campaign.seed`?"),
        ("seed", "budget", "did you mean `"),
        ("workers", "wrokers", "did you mean `executor.workers`?"),
        ('"processes"', '"proceses"', "one of processes, threads, serial, dask, submitit; got 'proceses'"),
        ('"processes"', "3", "`executor.kind` must be one of"),
        ("false", '"no"', "true or false; got 'no'"),
        ("96", "0", "`campaign.num_queries` must be a whole number from 1 to"),
        ("96", "9.5", "must be a whole number"),
        ("96", "true", "must be a whole number"),
        ('"seiko_ucb"', "[1]", "`method.name` must be text in quotes; got [1]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(tmp_path, style, old, new, words):
    lines = template(Config(), style).splitlines()
    place = next(i for i, line in enumerate(lines) if old in line and not line.lstrip().startswith("#"))
    lines[place] = lines[place].replace(old, new, 1)
    said = refusal(tmp_path, "\n".join(lines), style)
    assert f"line {place + 1}: " in said
    assert words in said


def test_all_errors_are_said_at_once(tmp_path):
    said = refusal(tmp_path, "[campaign]\nsed = 1\nnum_queries = 'x'\n[orcale]\npython = 'a:b'\n")
    assert "has 3 errors" in said
    assert [part in said for part in ("line 2:", "line 3:", "line 5:", "`oracle.python`?")] == [True] * 4


@pytest.mark.parametrize(
    ("style", "text", "words"),
    [
        ("toml", "[campaign\n", "line 1"),
        ("toml", "[campaign]\nseed = 1\nseed = 2\n", "no TOML"),
        ("toml", b"[campaign]\nname = '\xe9'\n", "line 2: This is no UTF-8"),
        ("toml", "campaign = 3\n", "There is no setting `campaign`"),
        ("toml", "x = " + "[" * 5000, "no TOML"),
        ("toml", "[method.arguments]\nx = nan\n", "a table of arguments"),
        ("toml", "[method.arguments]\nx = 2020-01-01\n", "a table of arguments"),
        ("toml", "[budget]\ntotal = inf\n", "must be a number from"),
        ("toml", "[budget]\ntotal = 1" + "0" * 5000, "TOML"),
        ("yaml", "campaign: [", "no YAML"),
        ("yaml", "- 1\n", "must hold sections"),
        ("yaml", "campaign:\n  seed: 1\n  seed: 2\n", "line 3: The key 'seed' is there twice"),
        ("yaml", "campaign:\n  name: 2020-01-01\n", "line 2: `campaign.name` is a date; put text in quotes"),
        ("yaml", "a: &a [1]\nb: *a\n", "line 2: An alias"),
        ("yaml", "campaign: !!python/object/apply:os.system [echo]\n", "There is no setting `campaign`"),
        ("yaml", "campaign:\n  <<: {seed: 1}\n", "'<<'"),
        ("yaml", "[" * 3000, "no YAML"),
        ("yaml", "campaign:\n  seed: !!int x\n", "no YAML"),
    ],
)
def test_broken_files(tmp_path, style, text, words):
    assert words in refusal(tmp_path, text, style)


def test_yaml_that_grows_without_end_is_refused(tmp_path):
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40)]
    assert "alias" in refusal(tmp_path, "\n".join(lines), "yaml")


@pytest.mark.parametrize(
    ("settings_", "words"),
    [
        ({"python": "a:b", "command": ("x",)}, "one oracle"),
        ({"python": "rewards"}, "module:function"),
        ({"python": "../rewards:score"}, "module:function"),
        ({"command": ()}, "must name a program"),
        ({"name": "../up"}, "campaign.name"),
        ({"name": "a/b"}, "campaign.name"),
        ({"name": "a\nb"}, "campaign.name"),
        ({"num_queries": 500}, "less than one ask"),
    ],
)
def test_settings_that_do_not_go_together(settings_, words):
    with pytest.raises(ConfigError, match=words):
        Config(**settings_)


def test_overrides_are_read_as_toml_or_as_text():
    found = override(
        Config(),
        ["oracle.retries=2", "method.name=greedy", "method.arguments.exploration=0.5",
         "method.arguments.kl=3",
         'oracle.command=["a", "b"]', 'campaign.name="x y"', "executor.kind=threads", "oracle.batched=true"],
    )  # fmt: skip
    assert (found.retries, found.method, found.arguments) == (2, "greedy", {"exploration": 0.5, "kl": 3})
    assert (found.command, found.name, found.executor, found.batched) == (("a", "b"), "x y", "threads", True)


@pytest.mark.parametrize(
    ("item", "words"),
    [("oracle.retries", "key=value"), ("oracle.retry=1", "did you mean `oracle.retries`"),
     ("oracle.retries=x", "whole"),
     ("=", "There is no setting"), ("method.arguments=3", "table"), ("oracle.retries=-1", "from 0 to 100"),
     ("executor.workers=1\n2", "whole")],
)  # fmt: skip
def test_overrides_that_are_refused(item, words):
    with pytest.raises(ConfigError, match=words):
        override(Config(), [item])


def test_what_may_not_change_later_is_found():
    before = fixed_values(FULL)
    assert fixed_differences(before, FULL) == []
    allowed = replace(
        FULL, python="other:score", timeout_seconds=1.0, retries=0, executor="serial", num_queries=2
    )
    assert fixed_differences(before, allowed) == []
    changed = replace(FULL, seed=4, chain="qm9-graph", arguments={}, refund=())
    assert [text.split("`")[1] for text in fixed_differences(before, changed)] == [
        "campaign.chain", "campaign.seed", "budget.refund", "method.arguments"
    ]  # fmt: skip


def test_finding_the_file(tmp_path):
    with pytest.raises(ConfigError, match="seiko init"):
        find(tmp_path)
    path = written(tmp_path, "")
    assert find(tmp_path) == path
    assert load(path) == Config()
    written(tmp_path, "", "yaml")
    with pytest.raises(ConfigError, match=r"2 campaign files: campaign.toml, campaign.yaml"):
        find(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(path)


def test_yaml_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingDependencyError, match="extra `yaml`"):
        load(written(tmp_path, "", "yaml"))
    with pytest.raises(ParameterError, match="toml or yaml"):
        template(Config(), "json")


def test_every_key_is_an_attribute():
    assert set(ATTRIBUTES.values()) == set(vars(Config()))
    assert list(ATTRIBUTES) == list(SETTINGS)


fuzz = st.one_of(
    st.text(max_size=200),
    st.binary(max_size=200),
    st.lists(
        st.tuples(st.sampled_from([*SETTINGS, "a.b", "campaign", "x"]), st.sampled_from(
            ["1", "-1", "1e400", "nan", '"x"', "'", "[]", "[1]", "{a=1}", "true", "", "\0", "'''", "2020-1-1"]
        )), max_size=6,
    ).map(lambda pairs: "\n".join(f"{key} = {value}" for key, value in pairs)),
)  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
@given(text=fuzz)
@settings(max_examples=150, deadline=None)
def test_no_text_is_a_traceback(tmp_path_factory, style, text):
    check_any(tmp_path_factory, style, text)


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
@given(text=fuzz)
@settings(max_examples=2000, deadline=None)
def test_no_text_is_a_traceback_at_length(tmp_path_factory, style, text):
    check_any(tmp_path_factory, style, text)


def check_any(tmp_path_factory, style, text):
    if isinstance(text, str):
        text = text.replace(" = ", ": ") if style == "yaml" else text
        text = text.encode("utf-8", "surrogatepass")
    path = tmp_path_factory.getbasetemp() / f"fuzz.{style}"
    path.write_bytes(text)
    try:
        assert isinstance(load(path), Config)
    except SeikoError as error:
        assert str(path) in str(error)
