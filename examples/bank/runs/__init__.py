"""The runs behind the bank's commands, shown on a screen."""

PROGRAM = ("python", "-m", "actorium.examples.bank")
"""The command line in front of the name of a command."""
