"""The commands of the program `actorium` by name.

It stands beside the package, as `actorium_cli` does, so that `actorium --help` imports nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping

CommandEntry = tuple[str, str]  # where its function is, as module:name; the first line of its docstring
CommandGroup = tuple[str, Mapping[str, CommandEntry]]

_COMMANDS = "actorium.commands"
COMMANDS: Mapping[str, CommandEntry | CommandGroup] = {
    "new": (
        f"{_COMMANDS}.new_project.project:new",
        "Create a project that runs and tests at once, in a new folder of the current directory.",
    ),
    "check": (
        f"{_COMMANDS}.check:check",
        "List everything in the log that the application cannot read, and forgotten subjects whose key still exists.",
    ),
    "repair": (f"{_COMMANDS}.repair:repair", "Rebuild the indexes of a damaged log, and list the remaining damage."),
    "copy": (f"{_COMMANDS}.copy:copy", "Copy a log from one store to another, and compare the two."),
    "backup": (
        f"{_COMMANDS}.backups.backup:backup",
        "Bring the backup of a log up to date, while its application runs.",
    ),
    "restore": (
        f"{_COMMANDS}.backups.restore:restore",
        "Restore a log from a backup, whole or up to a position or a time.",
    ),
    "drill": (
        f"{_COMMANDS}.backups.drill:drill",
        "Restore a backup to a temporary place, and check the restored log.",
    ),
    "head": (
        f"{_COMMANDS}.verification.head:head",
        "Print the head of a log: the hash of everything in it so far.",
    ),
    "verify": (
        f"{_COMMANDS}.verification.verify:verify",
        "Compare a log with heads that were kept elsewhere, and with its stored chain of hashes.",
    ),
    "keys": (
        "Create keys for signing heads.",
        {"new": (f"{_COMMANDS}.verification.keys:new", "Write a new ed25519 key for signing heads.")},
    ),
    "export": (
        f"{_COMMANDS}.backups.export:export",
        "Write the events of a log as text, one on each line, while its application runs.",
    ),
    "import": (
        f"{_COMMANDS}.backups.import_:import_",
        "Write exported events to a log, which may be new or hold a part of them.",
    ),
    "dead-letters": (
        "List, retry or discard the events that projections and reactions have parked.",
        {
            "list": (
                f"{_COMMANDS}.live.dead_letters:list_letters",
                "List the dead letters of an application, or in the log of a stopped one.",
            ),
            "retry": (
                f"{_COMMANDS}.live.dead_letters:retry",
                "Retry parked events, then handle the events waiting behind them.",
            ),
            "discard": (
                f"{_COMMANDS}.live.dead_letters:discard",
                "Skip a parked event, then handle the events waiting behind it.",
            ),
        },
    ),
    "status": (
        f"{_COMMANDS}.live.status:status",
        "Show the state of an application: its counters, its processors, its sagas and its dead letters.",
    ),
    "events": (
        "Print the events of a log.",
        {
            "tail": (
                f"{_COMMANDS}.live.events:tail",
                "Print the newest events of the log, and with `--follow` new ones as they are recorded.",
            )
        },
    ),
    "causes": (f"{_COMMANDS}.live.events:causes", "Show what led to an event, and everything that it caused."),
    "stream": (
        "Show a stream of the log.",
        {
            "show": (
                f"{_COMMANDS}.live.streams:show",
                "Show the newest events of a stream, with what they changed in its state.",
            )
        },
    ),
    "state": (
        f"{_COMMANDS}.live.streams:state",
        "Show the state of a stream, as it is now or as it was at a version.",
    ),
    "sagas": (
        "Find sagas, read their history, and repair those that are stuck.",
        {
            "list": (
                f"{_COMMANDS}.live.sagas:list_sagas",
                "List sagas by type, status, step, age and the start of their id.",
            ),
            "show": (
                f"{_COMMANDS}.live.sagas:show",
                "Show a saga: its status, its fields, and its history line by line.",
            ),
            "retry": (f"{_COMMANDS}.live.sagas:retry", "Retry the current step or undo of stuck sagas."),
            "skip": (f"{_COMMANDS}.live.sagas:skip", "Treat the current step or undo of stuck sagas as done."),
            "complete": (
                f"{_COMMANDS}.live.sagas:complete",
                "End stuck sagas as completed, even if steps remain.",
            ),
            "compensate": (f"{_COMMANDS}.live.sagas:compensate", "Have stuck sagas undo their steps."),
        },
    ),
    "submissions": (
        "List submitted commands, cancel them, or run them now.",
        {
            "list": (
                f"{_COMMANDS}.live.submissions:list_submissions",
                "List submitted commands by type and status.",
            ),
            "cancel": (f"{_COMMANDS}.live.submissions:cancel", "Cancel submitted commands that wait."),
            "run-now": (f"{_COMMANDS}.live.submissions:run_now", "Make submitted commands due now."),
        },
    ),
    "processors": (
        "List, pause, resume, reset or rebuild what follows the log of a running application.",
        {
            "list": (
                f"{_COMMANDS}.live.processors:list_processors",
                "List the processors of a running application, with how far they are behind.",
            ),
            "pause": (
                f"{_COMMANDS}.live.processors:pause",
                "Stop delivering events to processors until they are resumed, or the application restarts.",
            ),
            "resume": (
                f"{_COMMANDS}.live.processors:resume",
                "Continue processors that were paused, or that stopped at a failure.",
            ),
            "reset": (
                f"{_COMMANDS}.live.processors:reset",
                "Start processors over from the first event, and return at once.",
            ),
            "rebuild": (
                f"{_COMMANDS}.live.processors:rebuild",
                "Start a processor over from the first event, and wait until it has caught up.",
            ),
        },
    ),
    "outlets": (
        "List outlets and inboxes, and recall events that they hold.",
        {
            "list": (
                f"{_COMMANDS}.live.outlets:list_outlets",
                "List the outlets and inboxes of a running application, with how far they are behind.",
            ),
            "held": (
                f"{_COMMANDS}.live.outlets:held",
                "List the events that an outlet or reaction holds, so that they can be recalled.",
            ),
            "recall": (
                f"{_COMMANDS}.live.outlets:recall",
                "Take back events that an outlet or reaction holds: they are never handed out.",
            ),
        },
    ),
    "schedules": (
        "List, pause, resume or run the schedules of a running application.",
        {
            "list": (
                f"{_COMMANDS}.live.schedules:list_schedules",
                "List the schedules of a running application, with the next time of each.",
            ),
            "pause": (
                f"{_COMMANDS}.live.schedules:pause",
                "Let schedules fire no more until they are resumed, also after a restart.",
            ),
            "resume": (f"{_COMMANDS}.live.schedules:resume", "Let paused schedules fire again."),
            "run-now": (
                f"{_COMMANDS}.live.schedules:run_now",
                "Submit the commands of schedules once more, now.",
            ),
        },
    ),
    "services": (
        f"{_COMMANDS}.live.nodes:services",
        "Show the services around a running application: what it uses of them, and which of them use it.",
    ),
    "nodes": (
        f"{_COMMANDS}.live.nodes:nodes",
        "List the nodes of a cluster, with the shards and followers that each of them owns.",
    ),
    "shards": (f"{_COMMANDS}.live.nodes:shards", "List the shards of a log by their owners."),
    "console": (
        f"{_COMMANDS}.live.console:console",
        "Serve a web page over a log to this machine, read-only, until Ctrl-C.",
    ),
    "impact": (
        f"{_COMMANDS}.corrections.impact:impact",
        "Show what some events caused: events, sagas, rows, snapshots and messages.",
    ),
    "what-if": (
        f"{_COMMANDS}.corrections.what_if:what_if",
        "Show what would be different with other events, or with other code.",
    ),
    "cases": (
        "Correct wrong events of a running application: open a case, plan, try, approve and apply it.",
        {
            "list": (f"{_COMMANDS}.live.cases:list_cases", "List correction cases."),
            "show": (f"{_COMMANDS}.live.cases:show", "Show a case: its plan, and what became of it."),
            "impact": (f"{_COMMANDS}.live.cases:impact", "Show what the events of a case touched."),
            "open": (
                f"{_COMMANDS}.live.cases:open_case",
                "Open a case for wrong events, or for right ones that were handled wrongly.",
            ),
            "plan": (
                f"{_COMMANDS}.live.cases:plan",
                "Plan what is done about the events of a case; a later plan replaces it.",
            ),
            "dry-run": (
                f"{_COMMANDS}.live.cases:dry_run",
                "Try the plan of a case on a copy of the log in memory, and show what would be different.",
            ),
            "approve": (
                f"{_COMMANDS}.live.cases:approve",
                "Approve the plan of a case, as another person than the one who opened it.",
            ),
            "apply": (
                f"{_COMMANDS}.live.cases:apply",
                "Apply an approved case: correct the events, repair the projections, and run the reactions again.",
            ),
            "settle": (
                f"{_COMMANDS}.live.cases:settle",
                "Decide what becomes of a saga that the events of a case touched, once the case is applied.",
            ),
            "close": (
                f"{_COMMANDS}.live.cases:close",
                "Close an applied case; the outlets and reactions that it held go on.",
            ),
            "cancel": (
                f"{_COMMANDS}.live.cases:cancel",
                "Give a case up before it is applied; the outlets and reactions that it held go on.",
            ),
            "report": (
                f"{_COMMANDS}.live.cases:report",
                "Show the report on a case: its steps, its corrections, and what they touched.",
            ),
        },
    ),
    "schema": (f"{_COMMANDS}.documents:schema", "Print the JSON Schema of the application's commands and events."),
    "asyncapi": (f"{_COMMANDS}.documents:asyncapi", "Print the AsyncAPI 3.0 document of the application."),
    "graph": (
        f"{_COMMANDS}.documents:graph",
        "Print Mermaid diagrams of the application's sagas, aggregates and projections.",
    ),
    "simulate": (
        f"{_COMMANDS}.simulate:simulate",
        "Run scenarios with injected faults in virtual time, until a limit is reached or an invariant breaks.",
    ),
    "bench": (
        f"{_COMMANDS}.bench:bench",
        "Measure Actorium, and compare it with yardsticks and with installed alternatives.",
    ),
    "prove": (
        "Check on this machine that the log survives kills, power cuts, flipped bits and failing servers.",
        {
            "crash": (
                f"{_COMMANDS}.prove.crash:crash",
                "Kill a bank under load with SIGKILL, restart it, and check that no acknowledged command is lost.",
            ),
            "power-loss": (
                f"{_COMMANDS}.prove.power_loss:power_loss",
                "Rebuild the files that a power cut could leave, and check that no acknowledged command is lost.",
            ),
            "bit-rot": (
                f"{_COMMANDS}.prove.bit_rot:bit_rot",
                "Flip single bits in a log file, and check that no read returns wrong data.",
            ),
            "tampering": (
                f"{_COMMANDS}.prove.tampering:tampering",
                "Change a log as somebody would who knows its format, and check that `verify` finds every change.",
            ),
            "postgresql": (
                f"{_COMMANDS}.prove.postgresql:postgresql",
                "Let processes, connections and a PostgreSQL server fail under load, and check that nothing is lost.",
            ),
            "cluster": (
                f"{_COMMANDS}.prove.cluster:cluster",
                "Let nodes, connections and the server of a cluster fail under load, and check that nothing is lost.",
            ),
        },
    ),
    "demo": (
        "actorium.examples.demos:demo",
        "Import bank transactions, kill the import halfway, restart from the log, and show that nothing is lost.",
    ),
}
