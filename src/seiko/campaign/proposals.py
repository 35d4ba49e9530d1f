"""What a proposer answered, checked and made ready to be stored; nothing here writes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from seiko.campaign.artifacts import digest_of
from seiko.campaign.numbers import as_number
from seiko.errors import CampaignError

if TYPE_CHECKING:
    from seiko.campaign.ledger import Row
    from seiko.domains.base import Domain
    from seiko.proposers.base import Proposal

Design = TypeVar("Design")

FAULT = "Nothing was stored and nothing was charged; this is a fault of the proposer."


@dataclass(frozen=True)
class Encoded:
    """A proposal as it will be stored.

    Attributes:
        trials: One entry a design: key, hash of its bytes, hash of its drawing, prediction.
        blobs: The bytes and drawings that those hashes name.
        report: The proposer's numbers as JSON values, and the diversity of its designs.
    """

    trials: list[dict[str, Any]]
    blobs: list[bytes]
    report: dict[str, Any]


def seed_of(seed: int, round: int, purpose: str) -> int:
    """The seed of one call of the proposer, in [0, 2^63); unrelated between rounds and between purposes."""
    digest = hashlib.sha256(f"{purpose}:{seed}:{round}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def encode(proposal: Proposal[Design], count: int, domain: Domain[Design]) -> Encoded:
    """Check a proposal of `count` designs against the domain, and encode it.

    Raises:
        CampaignError: If the number of designs is wrong, one is invalid, comes twice or does not survive
            being stored, or the predictions, artifacts or report are not what they must be.
    """
    designs = list(proposal.designs)
    if len(designs) != count:
        raise CampaignError(
            f"The proposer was asked for {count} designs and gave {len(designs)}.", hint=FAULT
        )
    predictions = _predictions(proposal.predictions, count)
    _check_artifacts(proposal.artifacts)
    seen: dict[str, int] = {}
    trials, blobs = [], []
    for index, design in enumerate(designs):
        key = _key(design, index, domain)
        _check_new(key, index, seen)
        content = to_bytes(design, key, domain, what=f"Design {index} of the proposal, {key!r},")
        rendering = domain.render(design).encode()
        blobs += [content, rendering]
        names = {"design": digest_of(content), "rendering": digest_of(rendering)}
        trials.append({"key": key, "predicted": predictions[index], **names})
    return Encoded(trials, blobs, _diversity(designs, domain) | _report(proposal.report))


def _diversity(designs: Sequence[Design], domain: Domain[Design]) -> dict[str, Any]:
    """The domain's own measure of how much a round's designs differ, where it has one."""
    measures = (measure for name, measure in domain.metrics.items() if name.endswith("diversity"))
    measure = next(measures, None)
    return {} if measure is None or len(designs) < 2 else _report({"round/diversity": measure(designs)})


def _key(design: Design, index: int, domain: Domain[Design]) -> str:
    if not domain.is_valid(design):
        reason = domain.why_invalid(design) or "the domain gives no reason"
        raise CampaignError(
            f"Design {index} of the proposal, {design!r}, is not valid: {reason}.", hint=FAULT
        )
    return domain.key(design)


def without_known(
    trials: Sequence[dict[str, Any]], known: Mapping[str, Sequence[Row]], seen: int
) -> list[dict[str, Any]]:
    """The trials less those whose designs were attached while they were proposed.

    Args:
        trials: As :func:`encode` gave them.
        known: Trials that are there, by key.
        seen: How many of them the proposer knew.

    Raises:
        CampaignError: If the proposer knew one, or none is left.
    """
    for index, trial in enumerate(trials):
        if any(row.id < seen for row in known.get(trial["key"], ())):
            raise CampaignError(
                f"Design {index} of the proposal, {trial['key']!r}, was asked before.", hint=FAULT
            )
    new = [trial for trial in trials if trial["key"] not in known]
    if not new:
        raise CampaignError(
            "All the designs proposed were attached by others meanwhile; nothing was stored.",
            hint="Ask again.",
        )
    return new


def _check_new(key: str, index: int, seen: dict[str, int]) -> None:
    if key in seen:
        raise CampaignError(
            f"Designs {seen[key]} and {index} of the proposal are the same, {key!r}.", hint=FAULT
        )
    seen[key] = index


def to_bytes(design: Design, key: str, domain: Domain[Design], *, what: str) -> bytes:
    """The bytes of a design; CampaignError if it is another one once read back from them."""
    content = domain.to_bytes(design)
    if domain.key(domain.from_bytes(content)) != key:
        raise CampaignError(
            f"{what} is another design once read back from its bytes.",
            hint=f"`to_bytes` and `from_bytes` of the domain {domain.name!r} must be inverse to each other.",
        )
    return content


def _predictions(predictions: Any, count: int) -> list[list[float] | None]:
    given = list(predictions)
    if not given:
        return [None] * count
    if len(given) != count:
        raise CampaignError(f"The proposer gave {len(given)} predictions for {count} designs.", hint=FAULT)
    return [_prediction(pair, index) for index, pair in enumerate(given)]


def _prediction(pair: Any, index: int) -> list[float]:
    numbers = [as_number(entry) for entry in pair]
    finite = [number for number in numbers if number is not None and math.isfinite(number)]
    if len(numbers) != 2 or len(finite) != 2 or finite[1] < 0:
        raise CampaignError(
            f"The prediction of design {index} must be a finite mean and std >= 0; got {pair!r}.",
            hint=FAULT,
        )
    return finite


def _check_artifacts(artifacts: Any) -> None:
    for name, content in artifacts.items():
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise CampaignError(
                f"An artifact must have a name and bytes; got {name!r} with {type(content).__name__}.",
                hint=FAULT,
            )


def _report(report: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _json_value(value, str(name)) for name, value in report.items()}


def _json_value(value: Any, name: str) -> Any:
    """`value` as JSON; a number that is not finite becomes the string that `float` reads back."""
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, Mapping):
        return {str(key): _json_value(entry, f"{name}/{key}") for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json_value(entry, name) for entry in value]
    if isinstance(value, int):
        return int(value)
    if "bool" in str(getattr(value, "dtype", "")) and getattr(value, "ndim", 1) == 0:
        return bool(value)
    number = as_number(value)
    if number is None:
        raise CampaignError(
            f"The report's {name!r} must be a JSON value; got {type(value).__name__}.", hint=FAULT
        )
    return number if math.isfinite(number) else str(number)
