"""Our hot path beside other packages and yardsticks, interleaved: ratios of medians.

`python -m benchmarks.beside --peers FOLDER --rounds 5`, where FOLDER holds the measuring scripts of the peers (each
prints one JSON line with `ops_per_s`). The peers run with the interpreter given by `--peer-python` where they are
installed elsewhere.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys


def cases(commands: int) -> dict[str, list[str]]:
    """Return the command lines to run in turn; those that begin with a file name are the peers'."""
    n, few = str(commands), str(commands // 10)
    bare = ["--replay", "", "--live", "0"]
    ours = ["-m", "benchmarks.hot_path", "--commands"]
    peer = ["peer_eventsourcing.py", "--commands"]
    return {
        "ours FULL 100": [*ours, n],
        "ours FULL 100, one hot": [*ours, n, "--aggregates", "1"],
        "ours FULL 1": [*ours, few, "--callers", "1"],
        "ours NORMAL 100": [*ours, n, "--synchronous", "NORMAL"],
        "ours memory 100": [*ours, n, "--store", "memory"],
        "limit FULL 100": ["limit_hotpath.py", "--commands", n, *bare],
        "limit NORMAL 100": ["limit_hotpath.py", "--commands", n, "--synchronous", "NORMAL", *bare],
        "peer sqlite held FULL": [*peer, few, "--mode", "held", *bare],
        "peer sqlite held FULL 8 threads": [*peer, few, "--mode", "held", "--threads", "8", *bare],
        "peer popo held": [*peer, n, "--store", "popo", "--mode", "held", *bare],
    }


RATIOS = [
    ("SQLite FULL, 100 callers / yardstick", "ours FULL 100", "limit FULL 100"),
    ("SQLite NORMAL, 100 callers / yardstick", "ours NORMAL 100", "limit NORMAL 100"),
    ("one hot aggregate / 1,000 aggregates", "ours FULL 100, one hot", "ours FULL 100"),
    ("SQLite FULL, 100 callers / peer held", "ours FULL 100", "peer sqlite held FULL"),
    ("SQLite FULL, 100 callers / peer 8 threads", "ours FULL 100", "peer sqlite held FULL 8 threads"),
    ("SQLite FULL, 1 caller / peer held", "ours FULL 1", "peer sqlite held FULL"),
    ("memory, 100 callers / peer popo held", "ours memory 100", "peer popo held"),
]


def main() -> None:
    """Run the cases in turn, in another order each round, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, help="folder with the peers' measuring scripts")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has the peers installed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=20_000)
    parser.add_argument("--only", default="", help="comma list of substrings of case names")
    args = parser.parse_args()
    wanted = [part for part in args.only.split(",") if part]
    todo = {k: v for k, v in cases(args.commands).items() if not wanted or any(part in k for part in wanted)}
    rates: dict[str, list[float]] = {name: [] for name in todo}
    for _ in range(args.rounds):
        order = list(todo)
        random.shuffle(order)
        for name in order:
            rates[name].append(_rate(name, todo[name], args.peers, args.peer_python))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        sys.stdout.write(f"{name:36s} {medians[name]:9.0f}/s  min {min(values):9.0f}  max {max(values):9.0f}\n")
    for title, above, below in RATIOS:
        if above in medians and below in medians:
            sys.stdout.write(f"{title:44s} {medians[above] / medians[below]:6.2f}\n")


def _rate(name: str, command: list[str], peers: str, peer_python: str) -> float:
    ours = command[0] == "-m"
    run = subprocess.run(
        [sys.executable if ours else peer_python, *command],
        cwd=None if ours else peers,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if run.returncode:
        raise SystemExit(f"{name} failed: {run.stderr.strip()[-400:]}")
    return float(json.loads(run.stdout.strip().splitlines()[-1])["ops_per_s"])


if __name__ == "__main__":
    main()
