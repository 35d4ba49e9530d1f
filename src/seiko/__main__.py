"""``python -m seiko`` is the command ``seiko``."""

from seiko.cli.main import main

main(prog_name="seiko")
