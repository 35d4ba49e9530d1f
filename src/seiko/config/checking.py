"""Values of a campaign file against their settings; everything that is wrong is said at once."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from seiko.config.settings import ATTRIBUTES, KINDS, SETTINGS, Config, Setting
from seiko.errors import ConfigError

TABLES = tuple(key for key, setting in SETTINGS.items() if setting.kind == "table")


def config_of(values: Mapping[str, Any], source: str, line_of: Callable[[str], int | None]) -> Config:
    """Nested values of a file as a `Config`.

    Args:
        values: Sections with their settings.
        source: The file, for messages.
        line_of: The line of a key with its section, where it is known.

    Raises:
        ConfigError: With every line that is wrong: the key, what is allowed, the nearest spelling.
    """
    problems: list[tuple[int, str]] = []
    given: dict[str, Any] = {}
    for key, value in flat(values):
        try:
            setting = SETTINGS[known(key)]
            given[ATTRIBUTES[key]] = checked(setting, value)
        except ConfigError as error:
            problems.append((line_of(key) or 0, str(error)))
    if not problems:
        try:
            return Config(**given)
        except ConfigError as error:
            problems.append((0, str(error)))
    raise refused(problems, source)


def refused(problems: Sequence[tuple[int, str]], source: str) -> ConfigError:
    """The error of a file with these lines wrong."""
    lines = [f"  line {line}: {what}" if line else f"  {what}" for line, what in sorted(problems)]
    count = f"{len(problems)} error{'s' if len(problems) > 1 else ''}"
    return ConfigError("\n".join([f"The campaign file {source} has {count}.", *lines]))


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values; tables that are settings stay whole."""
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and key not in TABLES:
            yield from flat(value, f"{key}.")
        else:
            yield key, value


def known(key: str) -> str:
    """The key itself, if there is such a setting.

    Raises:
        ConfigError: If there is not; the nearest spelling is in it.

    Example:
        >>> known("campaign.seeed")
        Traceback (most recent call last):
        ...
        seiko.errors.ConfigError: There is no setting `campaign.seeed`; did you mean `campaign.seed`?
    """
    if key in SETTINGS:
        return key
    near = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.6)
    same = [other for other in SETTINGS if other.rpartition(".")[2] == key.rpartition(".")[2]]
    section = key.partition(".")[0]
    siblings = [other for other in SETTINGS if other.startswith(f"{section}.")]
    if same or near:
        hint = f"did you mean `{(same or near)[0]}`?"
    else:
        hint = f"there are {', '.join(siblings or SETTINGS)}."
    raise ConfigError(f"There is no setting `{key}`; {hint}")


def checked(setting: Setting, value: Any) -> Any:
    """The value as its setting wants it.

    Raises:
        ConfigError: If it is of another kind, or outside what is allowed.
    """
    wanted = f"`{setting.key}` must be {_allowed(setting)}; got {value!r}."
    if not _is_kind(setting, value):
        raise ConfigError(wanted)
    if setting.kind in ("whole", "number"):
        low = -math.inf if setting.least is None else setting.least
        high = math.inf if setting.most is None else setting.most
        if not (math.isfinite(value) and low <= value <= high):
            raise ConfigError(wanted)
        return float(value) if setting.kind == "number" else value
    for text in value if setting.kind == "list" else [value]:
        if setting.choices and text not in setting.choices:
            near = difflib.get_close_matches(text, setting.choices, n=1)
            raise ConfigError(wanted, hint=f"Did you mean {near[0]!r}?" if near else None)
    return tuple(value) if setting.kind == "list" else value


def _is_kind(setting: Setting, value: Any) -> bool:
    if setting.kind == "text":
        return isinstance(value, str) and "\0" not in value
    if setting.kind == "truth":
        return isinstance(value, bool)
    if setting.kind == "whole":
        return isinstance(value, int) and not isinstance(value, bool)
    if setting.kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if setting.kind == "list":
        return isinstance(value, list) and all(isinstance(v, str) and "\0" not in v for v in value)
    return isinstance(value, Mapping) and all(_is_argument(v) for v in value.values())


def _is_argument(value: Any) -> bool:
    """Arguments of a method are plain: JSON values, numbers finite."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (str, int, bool)) or (
        isinstance(value, list) and all(_is_argument(v) for v in value)
    )


def _allowed(setting: Setting) -> str:
    if setting.choices and setting.kind == "list":
        return f"a list of {', '.join(setting.choices)}"
    if setting.choices:
        return f"one of {', '.join(setting.choices)}"
    text = KINDS[setting.kind]
    if setting.least is not None and setting.most is not None:
        return f"{text} from {setting.least:g} to {setting.most:g}"
    return text if setting.least is None else f"{text} of at least {setting.least:g}"
