"""``python -m saiki`` is the command ``saiki``."""

from saiki.cli import main

main()
