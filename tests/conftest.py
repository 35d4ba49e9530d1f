"""Makes the helper modules in this folder importable from the tests in its subfolders."""

from measured_data import measured
from postgres_server import postgres

__all__ = ["measured", "postgres"]
