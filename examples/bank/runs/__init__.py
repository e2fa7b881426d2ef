"""What the commands of the bank do, shown on a screen."""

PROGRAM = ("python", "-m", "actorium.examples.bank")
"""What to type before the name of a command."""
