"""Makes the helper modules in this folder importable from the tests in its subfolders."""

from postgres_server import postgres

__all__ = ["postgres"]
