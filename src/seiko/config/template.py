"""The campaign file that `seiko init` writes: every setting with its meaning and default."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from typing import Any

from seiko.config.settings import ATTRIBUTES, SETTINGS, Config, Setting
from seiko.errors import ParameterError

HEAD = """\
Campaign file of seiko. Every setting is here with its default; a line that begins with # {about}.
Settings marked FIXED may not change once the campaign was made; all others may, at any time.
Any of them can be given on the command line instead, as in: seiko run DIR oracle.retries=2"""


def template(config: Config, style: str = "toml") -> str:
    """The text of a campaign file with these settings.

    Args:
        config: What it says; settings that are None are written commented out, with an example.
        style: "toml" or "yaml".

    Raises:
        ParameterError: If the style is another.

    Example:
        >>> print(template(Config(budget=200)).splitlines()[4])
        [campaign]
    """
    if style not in ("toml", "yaml"):
        raise ParameterError(f"A campaign file is toml or yaml; got {style!r}.")
    lines = [f"# {line}" for line in HEAD.format(about="is explanation or not set").splitlines()]
    section = ""
    for key, setting in SETTINGS.items():
        here = key.partition(".")[0]
        if here != section:
            lines += ["", f"[{here}]" if style == "toml" else f"{here}:"]
            section = here
        else:
            lines.append("")
        value = getattr(config, ATTRIBUTES[key])
        lines += _explained(setting, "" if style == "toml" else "  ")
        lines += _toml(setting, value) if style == "toml" else _yaml(setting, value)
    return "\n".join(lines) + "\n"


def _explained(setting: Setting, indent: str) -> list[str]:
    text = f"FIXED. {setting.help}" if setting.fixed else setting.help
    if setting.choices:
        text += f" {'Any' if setting.kind == 'list' else 'One'} of {', '.join(setting.choices)}."
    if setting.default not in (None, "", ()):
        text += f" Default: {_literal(setting.default)}."
    return textwrap.wrap(text, 100, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _toml(setting: Setting, value: Any) -> list[str]:
    name = setting.key.partition(".")[2]
    shown = setting.example if _is_unset(value) else value
    mark = "# " if _is_unset(value) else ""
    if not isinstance(shown, Mapping):
        return [f"{mark}{name} = {_literal(shown)}"]
    return [f"{name}.{_toml_key(key)} = {_literal(entry)}".join([mark, ""]) for key, entry in shown.items()]


def _yaml(setting: Setting, value: Any) -> list[str]:
    name = setting.key.partition(".")[2]
    shown = setting.example if _is_unset(value) else value
    mark = "  # " if _is_unset(value) else "  "
    if not isinstance(shown, Mapping):
        return [f"{mark}{name}: {_literal(shown)}"]
    entries = [f"{mark}  {_literal(key)}: {_literal(entry)}" for key, entry in shown.items()]
    return [f"{mark}{name}:", *entries]


def _is_unset(value: Any) -> bool:
    return value is None or value == {}


def _toml_key(key: str) -> str:
    return key if key.isidentifier() and key.isascii() else json.dumps(key)


def _literal(value: Any) -> str:
    """A value as TOML, YAML and JSON all write it."""
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
