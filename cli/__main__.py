"""``python -m cli`` is ``o2c``."""

from cli.main import main

main()
