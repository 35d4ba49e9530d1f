"""From a campaign folder with its file to a journal, and to a campaign with its domain and method."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seiko.errors import CampaignError, ConfigError, ParameterError, SeikoError

if TYPE_CHECKING:
    from seiko.campaign import Campaign, Journal
    from seiko.chain import Chain
    from seiko.config import Config
    from seiko.domains.base import Domain
    from seiko.proposers.base import Proposer


@dataclass(frozen=True)
class Place:
    """Where a campaign is and what its file says.

    Attributes:
        given: As on the command line.
        location: Of the store.
        config: None where there is no campaign file.
    """

    given: str
    location: str
    config: Config | None

    @property
    def folder(self) -> Path:
        """Where its modules and programs are looked for."""
        return Path.cwd() if "://" in self.given else Path(self.given).resolve()


def place_of(given: str, overrides: Sequence[str] = ()) -> Place:
    """The place that a command names.

    Raises:
        ConfigError: If its campaign file, or an override, is wrong.
    """
    from seiko.config import FILE_NAMES, Config, load, override

    if "://" in given:
        return Place(given, given, override(Config(), overrides) if overrides else None)
    config = None
    if any((Path(given) / name).is_file() for name in FILE_NAMES):
        config = load(given, overrides)
    elif overrides:
        config = override(Config(), overrides)
    return Place(given, (config and config.store) or given, config)


def journal_of(given: str) -> Journal:
    """The journal of a campaign that was begun; needs neither its domain nor torch.

    Raises:
        CampaignError: If there is none.
    """
    from seiko.campaign import Journal

    if Path(given, "campaign.sqlite").is_file():  # then its file is not needed to find it
        return Journal.open(given)
    place = place_of(given)
    if not Journal.exists(place.location) and place.config is not None:
        raise CampaignError(
            f"The campaign {given} has a file but was not begun.", hint=f"Begin it: seiko ask {given}"
        )
    return Journal.open(place.location)


@dataclass(frozen=True)
class Prepared:
    """A campaign's parts, checked against what it was made with; nothing is written yet."""

    place: Place
    config: Config
    chain: Chain
    domain: Domain[Any]
    begun: bool

    def campaign(self) -> Campaign[Any]:
        """Open the campaign, or make it as its file says.

        Raises:
            ConfigError: If its method is unknown, or does not take the arguments in the file.
            CampaignError: If the campaign cannot be opened or made.
        """
        from seiko.campaign import Campaign
        from seiko.config.settings import fixed_values

        config = self.config
        proposer = method(config, self.chain, self.domain, self.place.folder)
        if self.begun:
            return Campaign.open(self.place.location, domain=self.domain, proposer=proposer)
        return Campaign.create(
            self.place.location,
            domain=self.domain,
            proposer=proposer,
            budget=budget_of(config),
            num_queries=config.num_queries,
            seed=config.seed,
            name=config.name or None,
            config=fixed_values(config),
            timeout=config.stale_seconds,
            max_retries=config.max_retries,
        )


def prepare(place: Place) -> Prepared:
    """Load a campaign's chain and domain.

    Raises:
        ConfigError: If there is no file, or it says something else than what the campaign was made with.
        CampaignError: If the campaign is there and cannot be read.
    """
    from seiko.campaign import Journal

    begun = Journal.exists(place.location)
    config = config_of_journal(Journal.open(place.location), place) if begun else place.config
    if config is None:
        raise ConfigError(
            f"There is no campaign file in {place.given}.", hint=f"Make one: seiko init {place.given}"
        )
    chain, domain = materials(config, place.folder)
    return Prepared(place, config, chain, domain, begun)


def open_campaign(place: Place) -> Campaign[Any]:
    """Open the campaign of a place, or make it as its file says; errors as of `prepare`."""
    return prepare(place).campaign()


def config_of_journal(journal: Journal, place: Place) -> Config:
    """The campaign's settings: as it was made with, with what may change taken from its file.

    Raises:
        ConfigError: If the file says something else than what may change.
    """
    from seiko.config import fixed_differences

    made_with = dict(journal.config)
    if place.config is None:
        return _from_made({**made_with, "campaign.num_queries": journal.settings.num_queries}, place)
    differences = fixed_differences(made_with, place.config)
    if differences:
        raise ConfigError(
            f"The campaign file in {place.given} does not fit the campaign that was made from it: "
            f"{'; '.join(differences)}.",
            hint="Put the old values back; the oracle, the executor, time-outs and `campaign.num_queries` "
            "may change. For another method or seed, fork the campaign.",
        )
    return place.config


def _from_made(made_with: Mapping[str, Any], place: Place) -> Config:
    """Settings without a file, as the campaign keeps them."""
    from seiko.config.checking import config_of

    if "campaign.chain" not in made_with:
        raise ConfigError(
            f"The campaign {place.given} was made from Python, without a campaign file, so the command line "
            "does not know its domain and method.",
            hint=f"Ask from Python, or write one: seiko init {place.given}",
        )
    nested: dict[str, Any] = {}
    for key, value in made_with.items():
        if value is not None:
            section, _, name = key.partition(".")
            nested.setdefault(section, {})[name] = value
    return config_of(nested, f"of {place.given}", lambda key: None)


def budget_of(config: Config) -> Any:
    """The budget that a file sets."""
    from seiko.records import Budget

    whole = config.budget.is_integer()
    return Budget(
        int(config.budget) if whole else config.budget,
        unit=config.unit,
        cost=config.cost,
        charge_retries=config.charge_retries,
        refund=config.refund,
    )


def materials(config: Config, folder: Path) -> tuple[Chain, Domain[Any]]:
    """The pre-trained chain and its domain.

    Raises:
        ConfigError: If the zoo has no such chain, or the function does not give a chain and a domain.
    """
    from seiko import zoo
    from seiko.domains.base import Domain

    if ":" in config.chain:
        found = called("campaign.chain", config.chain, folder)
        if not (isinstance(found, tuple) and len(found) == 2 and isinstance(found[1], Domain)):
            raise ConfigError(
                f"`campaign.chain` = {config.chain!r} must give a chain and its Domain; it gave "
                f"{type(found).__name__}."
            )
        return found
    if config.chain not in zoo.names():
        raise ConfigError(
            f"`campaign.chain` is {config.chain!r}; the zoo has {', '.join(zoo.names())}.",
            hint=_near(config.chain, zoo.names()),
        )
    return zoo.load(config.chain, num_steps=config.num_steps)


def method(config: Config, chain: Any, domain: Domain[Any], folder: Path) -> Proposer[Any]:
    """The proposer that a file names, with its arguments.

    Raises:
        ConfigError: If there is no such method, or it does not take these arguments.
    """
    from seiko.methods import METHODS

    if ":" not in config.method and config.method not in METHODS:
        raise ConfigError(
            f"`method.name` is {config.method!r}; there are {', '.join(METHODS)}.",
            hint=_near(config.method, list(METHODS)),
        )
    if ":" in config.method:
        factory = function_at("method.name", config.method, folder)
    else:
        factory = METHODS[config.method]
    try:
        return factory(chain, domain, **config.arguments)
    except (TypeError, ParameterError) as error:
        raise ConfigError(
            f"The method {config.method} does not take the arguments {dict(config.arguments)}: {error}",
            hint="Mend `method.arguments` in the campaign file.",
        ) from error


def called(key: str, place: str, folder: Path) -> Any:
    """What the function at ``module:function`` gives."""
    function = function_at(key, place, folder)
    try:
        return function()
    except SeikoError:
        raise
    except Exception as error:
        raise ConfigError(f"`{key}` = {place!r} failed: {type(error).__name__}: {error}.") from error


def function_at(key: str, place: str, folder: Path) -> Any:
    """The function at ``module:function``; modules are looked for in the campaign's folder first.

    Raises:
        ConfigError: If there is no such module or function, or it cannot be called.
    """
    module_name, _, path = place.partition(":")
    search_in(folder)
    try:
        found: Any = import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0]:
            raise ConfigError(f"`{key}` = {place!r} cannot be imported: {error}.") from error
        raise ConfigError(
            f"`{key}` = {place!r}: there is no module {module_name!r}.",
            hint=f"Put {module_name.partition('.')[0]}.py into {folder}, or install it.",
        ) from None
    except AttributeError:
        names = [name for name in dir(found) if not name.startswith("_")]
        raise ConfigError(
            f"`{key}` = {place!r}: {module_name} has no {path!r}.", hint=_near(path, names)
        ) from None
    except Exception as error:
        raise ConfigError(
            f"`{key}` = {place!r} cannot be imported: {type(error).__name__}: {error}."
        ) from error
    if not callable(found):
        raise ConfigError(f"`{key}` = {place!r} is no function but {type(found).__name__}.")
    return found


def search_in(folder: Path) -> None:
    """Let modules be found in the campaign's folder, in this process and in those that it starts."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(folder) not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), *filter(None, paths)])


def _near(text: str, among: Sequence[str]) -> str | None:
    import difflib

    found = difflib.get_close_matches(text, among, n=1)
    return f"Did you mean {found[0]!r}?" if found else None
