"""The campaign file: what a campaign is made of, in TOML or YAML, checked before anything runs."""

from __future__ import annotations

from seiko.config.files import FILE_NAMES, find, load, override
from seiko.config.settings import Config, fixed_differences
from seiko.config.template import template

__all__ = ["FILE_NAMES", "Config", "find", "fixed_differences", "load", "override", "template"]
