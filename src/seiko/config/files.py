"""Campaign files: TOML or YAML, found in a campaign folder, read with the lines of their keys."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from seiko.config.checking import checked, config_of, known, refused
from seiko.config.settings import ATTRIBUTES, SETTINGS, Config
from seiko.errors import ConfigError, MissingDependencyError

FILE_NAMES = ("campaign.toml", "campaign.yaml", "campaign.yml")
MOST_BYTES = 2**20


def find(folder: str | os.PathLike[str]) -> Path:
    """The campaign file of a folder.

    Raises:
        ConfigError: If there is none, or more than one.
    """
    found = [Path(folder) / name for name in FILE_NAMES if (Path(folder) / name).is_file()]
    if not found:
        raise ConfigError(
            f"There is no campaign file in {os.fspath(folder)}.",
            hint=f"Make one: seiko init {os.fspath(folder)}",
        )
    if len(found) > 1:
        raise ConfigError(
            f"{os.fspath(folder)} has {len(found)} campaign files: {', '.join(path.name for path in found)}.",
            hint="Remove all but one.",
        )
    return found[0]


def load(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read a campaign file, or the one of a folder.

    Args:
        path: The file or its folder.
        overrides: ``key=value`` instead of what the file says, as in ``oracle.retries=2``.

    Raises:
        ConfigError: With every line that is wrong.
        MissingDependencyError: For YAML without PyYAML.
    """
    file = find(path) if Path(path).is_dir() else Path(path)
    text, source = _text(file), str(file)
    if file.suffix == ".toml":
        values, lines = _toml(text, source)
    else:
        values, lines = _yaml(text, source)
    return override(config_of(values, source, lines.get), overrides)


def override(config: Config, overrides: Sequence[str]) -> Config:
    """The settings with some replaced, each given as ``key=value``.

    Values are written as in TOML; text needs no quotes.

    Raises:
        ConfigError: If one is not ``key=value``, or not allowed.

    Example:
        >>> override(Config(), ["oracle.retries=2", "oracle.python=rewards:score"]).retries
        2
    """
    given: dict[str, Any] = {}
    for item in overrides:
        key, sign, text = item.partition("=")
        if not sign:
            raise ConfigError(f"An override must be key=value, as in oracle.retries=2; got {item!r}.")
        key = key.strip()
        if key.startswith("method.arguments.") and key.removeprefix("method.arguments."):
            name = key.removeprefix("method.arguments.")
            there = given.get("arguments", config.arguments)
            value = checked(SETTINGS["method.arguments"], {**there, name: _value(text)})
            given["arguments"] = value
            continue
        setting = SETTINGS[known(key)]
        parsed = text if setting.kind == "text" and not text.strip().startswith(('"', "'")) else _value(text)
        given[ATTRIBUTES[key]] = checked(setting, parsed)
    return replace(config, **given)


def _value(text: str) -> Any:
    """A value as TOML writes it; anything else is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError, ValueError):
        return text


def _text(file: Path) -> str:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ConfigError(f"The campaign file {file} is larger than {MOST_BYTES} bytes.")
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(
            f"The campaign file {file} cannot be read: {error.strerror}.", hint="Make one: seiko init DIR"
        ) from None
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise refused([(line, "This is no UTF-8 text.")], str(file)) from None


def _toml(text: str, source: str) -> tuple[Mapping[str, Any], Mapping[str, int]]:
    try:
        return tomllib.loads(text), _toml_lines(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        raise refused([(int(place[1]) if place else 0, f"This is no TOML: {error}.")], source) from None
    except (RecursionError, ValueError) as error:
        raise refused([(0, f"This is no TOML: {type(error).__name__}.")], source) from None


def _toml_lines(text: str) -> dict[str, int]:
    """Where each key stands, for messages; only plain keys below plain sections are looked for."""
    section = ""
    lines: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if head := re.match(r"\s*\[\s*([\w.-]+)\s*\]", line):
            section = f"{head[1]}."
            lines.setdefault(head[1], number)
        elif pair := re.match(r"\s*([\w.-]+)\s*=", line):
            lines.setdefault(f"{section}{pair[1]}", number)
    return lines


def _yaml(text: str, source: str) -> tuple[Mapping[str, Any], Mapping[str, int]]:
    try:
        yaml = import_module("yaml")
    except ImportError as error:
        raise MissingDependencyError(
            f"The campaign file {source} is YAML, which needs the package PyYAML, which is not installed.",
            hint="Install seiko with the extra `yaml`, or write campaign.toml.",
        ) from error
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AliasToken):  # aliases of aliases grow without end
                raise _YamlFault("An alias (*name) is not allowed; write it out.", token.start_mark.line + 1)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[str, int] = {}
        values = {} if root is None else _plain(root, "", lines, yaml)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise refused(
            [(mark.line + 1 if mark else 0, f"This is no YAML: {error.problem}.")], source
        ) from None
    except _YamlFault as error:
        raise refused([(error.line, str(error))], source) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise refused([(0, f"This is no YAML: {type(error).__name__}.")], source) from None
    if not isinstance(values, Mapping):
        raise refused([(1, "The file must hold sections, such as campaign: and method:.")], source)
    return values, lines


class _YamlFault(Exception):
    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


def _plain(node: Any, key: str, lines: dict[str, int], yaml: Any) -> Any:
    """A node's value, with the lines of all keys; keys are text, each once, and nothing refers elsewhere."""
    line = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_plain(child, key, {}, yaml) for child in node.value]
    if isinstance(node, yaml.ScalarNode):
        value = yaml.SafeLoader("").construct_object(node)
        if not isinstance(value, (str, int, float, bool, type(None))):
            raise _YamlFault(f"`{key}` is a {type(value).__name__}; put text in quotes.", line)
        return value
    found: dict[str, Any] = {}
    for name, child in node.value:
        if not isinstance(name, yaml.ScalarNode) or name.value in found or name.value == "<<":
            raise _YamlFault(
                f"The key {getattr(name, 'value', '?')!r} is there twice or no text.",
                name.start_mark.line + 1,
            )
        inner = f"{key}.{name.value}" if key else name.value
        lines[inner] = name.start_mark.line + 1
        found[name.value] = _plain(child, inner, lines, yaml)
    return found
