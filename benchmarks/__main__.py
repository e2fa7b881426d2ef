"""`python -m benchmarks`: each scenario once, one line each; run a scenario by itself for its options."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

SCENARIOS: dict[str, list[str]] = {
    "100 callers, 1,000 aggregates, SQLite FULL": ["hot_path"],
    "100 callers, 1,000 aggregates, SQLite NORMAL": ["hot_path", "--synchronous", "NORMAL"],
    "100 callers, 1,000 aggregates, memory": ["hot_path", "--store", "memory"],
    "100 callers, one hot aggregate, SQLite FULL": ["hot_path", "--aggregates", "1"],
    "one caller, SQLite FULL": ["hot_path", "--callers", "1", "--commands", "2000"],
    "catch-up of 1,000,000 events, two statements each, SQLite FULL": ["projection"],
    "20,000 live actors": ["memory", "--live", "20000"],
}


def main() -> None:
    """Run the scenarios whose names hold `--only`, in order."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="a part of a scenario's name")
    args = parser.parse_args()
    for name, (module, *options) in SCENARIOS.items():
        if args.only not in name:
            continue
        command = [sys.executable, "-m", f"actorium.benchmarks.{module}", *options]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise SystemExit(f"{name} failed: {run.stderr.strip()[-400:]}")
        figures = json.loads(run.stdout.strip().splitlines()[-1])
        figures.pop("settings", None)
        sys.stdout.write(f"{name}: " + ", ".join(f"{key} {value}" for key, value in figures.items()) + "\n")


if __name__ == "__main__":
    main()
