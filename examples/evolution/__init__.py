"""One application in three versions: the log that `v1` starts is read by `v2` and `v3`, and never rewritten.

`tests/examples/test_evolution.py` runs them one after the other on one file.
"""
