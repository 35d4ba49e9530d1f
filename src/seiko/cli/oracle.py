"""The oracle that a campaign file names, as a feedback for the loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seiko.cli.checks import program_of
from seiko.cli.opening import function_at
from seiko.config import Config
from seiko.errors import ConfigError, MissingDependencyError


@contextmanager
def opened_feedback(config: Config, folder: Path, domain: Any) -> Iterator[Any]:
    """The oracle with its executor; ended when the block is left.

    Raises:
        ConfigError: If there is no oracle, or it cannot be found.
        MissingDependencyError: If the executor's package is not installed.
    """
    from seiko.campaign.feedback import ExecutableFeedback

    if config.command is not None:
        program = program_of(config.command[0], folder)
        with ExecutableFeedback(
            [program, *config.command[1:]],
            domain=domain,
            persistent=config.persistent,
            batch_size=config.batch_size,
            timeout=config.timeout_seconds,
            folder=folder,
        ) as feedback:
            yield feedback
        return
    if config.python is None:
        raise ConfigError(
            "The campaign file names no oracle.",
            hint="Set oracle.python = module:function or oracle.command, or use seiko ask and seiko tell.",
        )
    function = function_at("oracle.python", config.python, folder)
    with _executor(config, folder) as options:
        yield _callable(config, function, options)


def _callable(config: Config, function: Any, options: dict[str, Any]) -> Any:
    from seiko.campaign.feedback import CallableFeedback

    return CallableFeedback(
        function,
        batched=config.batched,
        batch_size=config.batch_size if config.batched else None,
        noise_std=config.noise_std,
        timeout=config.timeout_seconds,
        **options,
    )


@contextmanager
def _executor(config: Config, folder: Path) -> Iterator[dict[str, Any]]:
    """`workers` and `executor` of a `CallableFeedback`."""
    if config.executor == "serial":
        yield {}
    elif config.executor == "processes":
        yield {"workers": config.workers}
    elif config.executor == "threads":
        from concurrent.futures import ThreadPoolExecutor

        yield {"workers": config.workers, "executor": lambda: ThreadPoolExecutor(config.workers)}
    elif config.executor == "submitit":
        from seiko.campaign.feedback import SubmititExecutor

        made = SubmititExecutor(folder / "jobs", cluster=config.address, num_workers=config.workers)
        with made:
            yield {"workers": config.workers, "executor": made}
    else:
        with _dask(config) as executor:
            yield {"workers": config.workers, "executor": executor}


@contextmanager
def _dask(config: Config) -> Iterator[Any]:
    from seiko.campaign.feedback import dask_executor

    try:
        from distributed import Client
    except ImportError as error:
        raise MissingDependencyError(
            "Dask's `distributed` is not installed.", hint="Install seiko with the extra `cluster`."
        ) from error
    options: dict[str, Any] = {"address": config.address} if config.address else {"n_workers": config.workers}
    with Client(**options) as client, dask_executor(client) as executor:
        yield executor
