"""What every recipe does with its result: weights and card, written into the package."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seiko.checkpoints import write_atomically

PACKAGE = Path(__file__).parent.parent / "src" / "seiko"


def write_card(folder: Path, weights: bytes, card: Mapping[str, Any], text: str) -> None:
    """The weights, the card for the program and the card for people."""
    write_atomically(folder / "weights.safetensors", weights)
    write_atomically(folder / "card.json", (json.dumps(card, indent=1) + "\n").encode())
    write_atomically(folder / "card.md", text.encode())


def stage_parser(description: str | None, work: str) -> argparse.ArgumentParser:
    """A command line of two stages, train and export, and a work folder."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stage", choices=["train", "export"])
    parser.add_argument("--work", type=Path, default=Path(work))
    return parser
