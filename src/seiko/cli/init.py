"""``seiko init``: the file of a new campaign."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from seiko.cli.common import json_option, overrides_argument, print_json
from seiko.config import FILE_NAMES, Config, override, template
from seiko.config.checking import checked
from seiko.config.settings import SETTINGS
from seiko.errors import CampaignError, ConfigError


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@overrides_argument
@click.option("--chain", help="Pre-trained model: a name of the zoo, or module:function.")
@click.option("--method", help="How designs are chosen: a method's name, or module:function.")
@click.option("--budget", type=float, help="What may be spent in all.")
@click.option("--num-queries", type=int, help="Designs of one ask.")
@click.option("--seed", type=int, help="Of all randomness.")
@click.option("--yaml", "style", flag_value="yaml", help="Write campaign.yaml.")
@click.option("--toml", "style", flag_value="toml", default="toml", help="Write campaign.toml (the default).")
@json_option
def init(directory: Path, overrides: Sequence[str], style: str, as_json: bool, **options: Any) -> None:
    """Write the file of a new campaign into the folder DIR, every setting explained.

    Nothing is measured, learned or charged: edit the file, then `seiko ask DIR`, or first `seiko attach DIR`
    if there are readings already.

    \b
    Examples:
      seiko init runs/first
      seiko init runs/first --chain qm9-graph --method seiko_ucb --budget 480 --num-queries 96
      seiko init runs/second --yaml oracle.python=rewards:score method.arguments.exploration=2.0
    """
    given = {name: value for name, value in options.items() if value is not None}
    config = override(_config(given), overrides)
    file = directory / f"campaign.{style}"
    _check_new(directory)
    text = template(config, style)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with open(file, "x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise CampaignError(
            f"{file} cannot be written: {error.strerror}.", hint="Choose another path."
        ) from None
    if as_json:
        print_json({"file": str(file), "next_action": f"seiko ask {directory}"})
    else:
        click.echo(f"Wrote {file}. Edit it, then: seiko ask {directory} --out batch.csv")


def _config(given: dict[str, Any]) -> Config:
    """The defaults with what was given; a small budget lowers the size of one ask, unless that is given."""
    if "budget" in given and "num_queries" not in given:
        total = checked(SETTINGS["budget.total"], given["budget"])
        given["num_queries"] = max(1, min(Config.num_queries, int(total)))
    items = {"chain": "campaign.chain", "method": "method.name", "budget": "budget.total",
             "num_queries": "campaign.num_queries", "seed": "campaign.seed"}  # fmt: skip
    return override(Config(), [f"{items[name]}={value}" for name, value in given.items()])


def _check_new(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise CampaignError(f"{directory} is a file.", hint="Name a folder.")
    there = [name for name in FILE_NAMES if (directory / name).exists()]
    if there:
        raise ConfigError(
            f"{directory / there[0]} is there already.", hint="Edit it, or name another folder."
        )
