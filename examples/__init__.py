"""Worked examples that run on the installed package."""
