"""The command line: the one place where the pieces meet. One file per command; heavy imports wait until it runs."""

from reconciler.cli.main import main

__all__ = ["main"]
