"""What a person sees: the `coterie` command. Each subcommand is a file; no other package imports from here."""

from .commands import app, main

__all__ = ["app", "main"]
