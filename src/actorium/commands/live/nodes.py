"""`actorium nodes`, `shards` and `services`: where an application runs, and what it is connected with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from actorium.commands.json_report import JsonFile, screen_beside, write_json
from actorium.commands.live.output import print_rows
from actorium.commands.live.reach import Where, reached
from actorium.commands.problem import Problem
from actorium.console.api.deployment import NodesView, ServicesView, ShardsView
from actorium.store.wording import counted


def nodes(*, where: Where, json: JsonFile = None) -> None:
    """List the nodes of a cluster, with the shards and followers that each of them owns."""
    screen = screen_beside(json)
    found = _nodes(where, json)
    for one in found.nodes:
        code = f", code {one.code}" if one.code else ""
        screen.say(f"{one.name} (number {one.number}{code}): {one.state}, {counted(one.shards, 'shard')}")
        for name in _in_lines(one.followers):
            screen.say(f"  {name}")
    if not found.nodes:
        screen.say("no node has joined")


def _in_lines(followers: Iterable[str]) -> Iterator[str]:
    """Yield a line for each follower, and one for all shares of the same follower."""
    shares: dict[str, list[str]] = {}
    for name in followers:
        whole, _, share = name.partition(" share ")
        if share:
            shares.setdefault(whole, []).append(share)
        else:
            yield name
    for whole, numbers in shares.items():
        yield f"{whole}, {counted(len(numbers), 'share')}: {', '.join(numbers)}"


def shards(*, where: Where, json: JsonFile = None) -> None:
    """List the shards of a log by their owners."""
    screen = screen_beside(json)
    found = _nodes(where, json)
    totals: Counter[str] = Counter()
    for run in found.shards:
        totals[run.node] += run.last - run.first + 1
    for name, count in sorted(totals.items()):
        ranges = ", ".join(_range(one) for one in found.shards if one.node == name)
        screen.say(f"{name or 'nobody'}: {counted(count, 'shard')}: {ranges}")
    if not found.shards:
        screen.say("this log belongs to one process: only a log in PostgreSQL has nodes")


def _nodes(where: Where, json: JsonFile) -> NodesView:
    with reached(where, screen_beside(json)) as application:
        found = application.get("nodes", NodesView)
    if json is not None:
        write_json(found, json)
    return found


def _range(run: ShardsView) -> str:
    return str(run.first) if run.first == run.last else f"{run.first}-{run.last}"


def services(*, where: Where, json: JsonFile = None) -> None:
    """Show the services around a running application: what it uses of them, and which of them use it.

    The exit code is 1 if the bus is away, a service does not answer, contracts do not fit, or another log is on the bus
    under the same name.
    """
    screen = screen_beside(json)
    with reached(where, screen) as application:
        found = application.get("services", ServicesView)
    if json is not None:
        write_json(found, json)
    if not found.name:
        screen.say("this application is not connected with other services")
        return
    state = "connected" if found.is_connected else "not connected"
    screen.say(f"{found.name} on {found.bus}: {state}, {found.asked} commands taken, {found.refused} refused")
    rows = [
        (one.name, one.circuit, str(one.unanswered), str(one.waiting), "yes" if one.is_known else "not seen")
        for one in found.peers
    ]
    print_rows(screen, ("uses", "circuit", "unanswered", "waiting", "contract"), rows, "it uses no other service")
    guests = [(one.name, str(one.in_flight)) for one in found.guests]
    print_rows(screen, ("used by", "in flight"), guests, "no other service has used it")
    problems = [] if found.is_connected else [f"the bus {found.bus} is not connected"]
    problems += [found.problem] if found.problem else []
    problems += [f"{one.name} does not answer" for one in found.peers if one.circuit == "open"]
    problems += [f"{one.name}: {reason}" for one in found.peers for reason in one.problems.values()]
    problems += [f"{one.name}: {reason}" for one in found.guests for reason in one.problems]
    if problems:
        raise Problem("; ".join(problems))
