"""``python -m seiko`` is the command ``seiko``."""

from seiko.cli.main import main

if __name__ == "__main__":
    main(prog_name="seiko")
