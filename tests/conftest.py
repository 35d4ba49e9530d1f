"""Makes the helper modules in this folder importable from the tests in its subfolders."""
