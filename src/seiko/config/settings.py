"""Every setting of a campaign file: its key, default, meaning and bounds, and whether it may change later."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from seiko.errors import ConfigError

Kind = Literal["text", "whole", "number", "truth", "list", "table"]
KINDS: Mapping[Kind, str] = {
    "text": "text in quotes",
    "whole": "a whole number",
    "number": "a number",
    "truth": "true or false",
    "list": "a list of texts",
    "table": "a table of arguments",
}


@dataclass(frozen=True)
class Setting:
    """One line of a campaign file.

    Attributes:
        key: With its section, ``campaign.budget``.
        kind: Of its value.
        default: None where leaving it out means none.
        help: What it is, for the person who edits the file.
        fixed: Whether it may not change once the campaign was made.
        least: Smallest number allowed.
        most: Largest.
        choices: Texts allowed; empty for any.
        example: Written, commented out, where there is no default.
    """

    key: str
    kind: Kind
    default: Any
    help: str
    fixed: bool = False
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    example: Any = None


def _setting(key: str, kind: Kind, default: Any, help: str, **rest: Any) -> Any:
    metadata = {"setting": Setting(key, kind, default, " ".join(help.split()), **rest)}
    if kind == "table":
        return field(default_factory=dict, metadata=metadata)
    return field(default=default, metadata=metadata)


EXECUTORS = ("processes", "threads", "serial", "dask", "submitit")
_PLACE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_.]*")
_NAME = re.compile(r"[\w][\w .,+()-]{0,99}")


@dataclass(frozen=True)
class Config:
    """A campaign file's settings.

    Example:
        >>> Config(chain="qm9-graph", budget=300).num_queries
        96
    """

    name: str = _setting(
        "campaign.name", "text", "", "Name for reports; the folder's name if empty.", fixed=True
    )
    chain: str = _setting(
        "campaign.chain", "text", "qm9-graph",
        """Pre-trained model to start from, which also says what a design is: a name of the zoo, or
        module:function, found from this folder, that gives a chain and its domain.""",
        fixed=True,
    )  # fmt: skip
    num_steps: int | None = _setting(
        "campaign.num_steps", "whole", None,
        "Sampling steps of the chain; its own number if left out. Fewer are faster, less is valid.",
        fixed=True, least=1, most=100_000, example=32,
    )  # fmt: skip
    num_queries: int = _setting(
        "campaign.num_queries", "whole", 96, "Designs of one ask, unless the ask says otherwise.",
        least=1, most=10**7,
    )  # fmt: skip
    seed: int = _setting(
        "campaign.seed", "whole", 0, "Of all randomness: the same file and readings give the same designs.",
        fixed=True, least=0, most=2**62,
    )  # fmt: skip
    store: str | None = _setting(
        "campaign.store", "text", None,
        "Where everything is kept, if not in this folder: the address of a PostgreSQL database and a name.",
        example="postgresql://host/database#first",
    )  # fmt: skip
    max_retries: int = _setting(
        "campaign.max_retries", "whole", 2, "How often a failed trial may be tried again with `seiko retry`.",
        fixed=True, least=0, most=1000,
    )  # fmt: skip
    stale_seconds: float | None = _setting(
        "campaign.stale_seconds", "number", None,
        "Seconds after which a design that was asked and not told counts as stale; never if left out.",
        fixed=True, least=1, example=1209600.0,
    )  # fmt: skip
    budget: float = _setting(
        "budget.total", "number", 480.0,
        """What may be spent in all, in designs asked for, or in the unit below. Charged when a design is
        asked, whatever comes of it.""",
        fixed=True, least=1e-9, most=1e12,
    )  # fmt: skip
    unit: str = _setting(
        "budget.unit", "text", "queries", "What the budget counts: queries, or a currency.", fixed=True
    )
    cost: float = _setting(
        "budget.cost",
        "number",
        1.0,
        "What one design costs, in this unit.",
        fixed=True,
        least=1e-9,
        most=1e12,
    )
    charge_retries: bool = _setting(
        "budget.charge_retries", "truth", False, "Whether a retry is charged again.", fixed=True
    )
    refund: tuple[str, ...] = _setting(
        "budget.refund", "list", (), "Outcomes whose charge is given back.", fixed=True,
        choices=("failed", "infeasible", "abandoned"),
    )  # fmt: skip
    method: str = _setting(
        "method.name", "text", "seiko_ucb",
        """How designs are chosen: seiko_ucb, seiko_bootstrap, seiko_thompson, greedy, non_adaptive,
        online_ppo, random, or module:function, which is called with the chain and the domain. To try
        another one on the same readings, fork the campaign.""",
        fixed=True,
    )  # fmt: skip
    arguments: Mapping[str, Any] = _setting(
        "method.arguments", "table", None,
        "Arguments of the method, such as exploration = 1.0 (multiplier of the surrogate's uncertainty).",
        fixed=True, example={"exploration": 1.0},
    )  # fmt: skip
    python: str | None = _setting(
        "oracle.python", "text", None,
        "For `seiko run`: the reward as module:function, found from the campaign file's folder or installed.",
        example="rewards:score",
    )  # fmt: skip
    command: tuple[str, ...] | None = _setting(
        "oracle.command", "list", None,
        "For `seiko run`: a program that reads designs and answers readings, as JSON lines.",
        example=["./score", "--fast"],
    )  # fmt: skip
    batched: bool = _setting(
        "oracle.batched", "truth", False, "Whether the Python reward takes a list of designs instead of one."
    )
    batch_size: int | None = _setting(
        "oracle.batch_size", "whole", None,
        "Designs of one call of a batched reward, or of one start of a program; all of an ask if left out.",
        least=1, most=10**7, example=16,
    )  # fmt: skip
    persistent: bool = _setting(
        "oracle.persistent", "truth", False, "Whether one process of the program answers all batches."
    )
    noise_std: float | None = _setting(
        "oracle.noise_std", "number", None,
        "Standard deviation of one reading's noise, in reward units, where it is known.",
        least=0, example=0.1,
    )  # fmt: skip
    timeout_seconds: float | None = _setting(
        "oracle.timeout_seconds", "number", None,
        "Seconds after which an evaluation counts as failed; never if left out.",
        least=0.001, example=600.0,
    )  # fmt: skip
    retries: int = _setting(
        "oracle.retries", "whole", 0, "How often a failed evaluation is tried again.", least=0, most=100
    )
    executor: str = _setting(
        "executor.kind", "text", "processes", "Where evaluations run.", choices=EXECUTORS
    )
    workers: int = _setting(
        "executor.workers", "whole", 2, "Evaluations at the same time.", least=1, most=10_000
    )
    address: str | None = _setting(
        "executor.address", "text", None,
        "Of Dask's scheduler, or submitit's kind of cluster; this machine, or found out, if left out.",
        example="tcp://10.0.0.1:8786",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.python is not None and self.command is not None:
            raise ConfigError(
                "`oracle.python` and `oracle.command` are both given; a campaign has one oracle.",
                hint="Leave one of them out.",
            )
        if self.python is not None and not _PLACE.fullmatch(self.python):
            raise ConfigError(
                f"`oracle.python` must be module:function, as in rewards:score; got {self.python!r}."
            )
        if self.command is not None and not (self.command and self.command[0].strip()):
            raise ConfigError("`oracle.command` must name a program; it is empty.")
        if self.name and (not _NAME.fullmatch(self.name) or ".." in self.name):
            raise ConfigError(
                f"`campaign.name` must be at most 100 letters, digits, blanks and . , + ( ) - _, without "
                f"two dots together; got {self.name!r}.",
            )
        if self.num_queries * self.cost > self.budget:
            raise ConfigError(
                f"`budget.total` is {self.budget:g}, less than one ask of "
                f"{self.num_queries} costs ({self.num_queries * self.cost:g}).",
                hint="Lower `campaign.num_queries`, or raise the budget.",
            )


SETTINGS: Mapping[str, Setting] = {f.metadata["setting"].key: f.metadata["setting"] for f in fields(Config)}
"""By key, in the order of the file."""

ATTRIBUTES: Mapping[str, str] = {f.metadata["setting"].key: f.name for f in fields(Config)}
"""The attribute of `Config` for each key."""


def fixed_differences(before: Mapping[str, Any], now: Config) -> list[str]:
    """What differs, of all that may not change after the campaign was made, in words.

    Args:
        before: Values by key, as the campaign was made with; keys that are not in it are not compared.
        now: The file as it is now.

    Example:
        >>> fixed_differences({"campaign.seed": 0}, Config(seed=1))
        ['`campaign.seed` was 0 and is 1']
    """
    found = []
    for key, setting in SETTINGS.items():
        value = _plain(getattr(now, ATTRIBUTES[key]))
        if setting.fixed and key in before and before[key] != value:
            found.append(f"`{key}` was {before[key]!r} and is {value!r}")
    return found


def fixed_values(config: Config) -> dict[str, Any]:
    """What may not change later, by key, as JSON values."""
    return {
        key: _plain(getattr(config, ATTRIBUTES[key])) for key, setting in SETTINGS.items() if setting.fixed
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
