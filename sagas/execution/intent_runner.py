"""`IntentRunner`: carries out recorded intents and reports their outcomes.

Nothing is sent before it is recorded. The usual case needs no task: a command is delivered, its reply calls back, the
report is delivered, its reply calls back. Other cases (no room, an error, an effect, an intent of which only the key is
known) need a task, which ends when the outcome is recorded or the runtime ends. After any other failure, the task reads
the intent from its owner again.

Invariants: an intent has at most one run that is not stopped; intents beyond the limit wait in a queue, each once and
with the latest request for it; intents beyond the queue's limit are left to the agenda; every part of a run is a future
or a task with an owner that ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import islice
from typing import Any, Literal

from actorium.actors.errors import CommandConflict
from actorium.runtime.commands.answer_batch import Answer
from actorium.runtime.errors import RuntimeClosed
from actorium.runtime.retry import Retry
from actorium.sagas.execution.command_runner import CommandRunner
from actorium.sagas.model.intents import Intent, IntentKey
from actorium.sagas.model.submissions import SUBMISSION
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through
from actorium.store.source import Source

log = logger("actorium.sagas")

# A part whose task failed (its owner cannot be read, the store is unavailable) is retried without limit.
_TASK_RETRY = Retry(attempts=1, backoff_s=0.2, backoff_max_s=30.0)
_TIME_OUT: Literal["time out"] = "time out"
_WHOLE = -1  # the part that represents the whole intent
Work = Callable[[], Coroutine[Any, Any, None]]


class _Run:
    """A running intent: the future or task of each of its commands, or of the whole intent."""

    __slots__ = ("intent", "key", "parts", "stopped")

    def __init__(self, key: IntentKey) -> None:
        self.key = key
        self.intent: Intent
        self.parts: dict[int, asyncio.Future[Any]] = {}
        self.stopped = False

    def stop(self) -> None:
        """Stop waiting; commands that were delivered but not decided are dropped."""
        self.stopped = True
        for part in self.parts.values():
            part.cancel()


class IntentRunner:
    """Carries out intents under one policy (saga steps, or submitted commands), up to a limit at a time."""

    def __init__(self, policy: CommandRunner, source: Source, *, max_running: int, max_waiting: int) -> None:
        self._policy = policy
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._running: dict[IntentKey, _Run] = {}
        self._line: dict[IntentKey, Intent | Literal["time out"] | None] = {}
        self._again: set[IntentKey] = set()  # requested while their run was ending
        self._take_answer, self._take_receipt = self._answered, self._reported  # bound once, for all commands
        self._opened = False
        self._closed = False

    def open(self) -> None:
        """Start to send: the runtime now accepts commands."""
        self._opened = True
        self._go_on()

    def limit(self, *, max_running: int, max_waiting: int) -> None:
        """Change the limits; what is running or queued already stays."""
        self._max_running, self._max_waiting = max_running, max_waiting
        self._go_on()

    def __len__(self) -> int:
        return len(self._running) + len(self._line)

    def is_busy_with(self, key: IntentKey) -> bool:
        """Return whether an intent is running or queued."""
        return key in self._running or key in self._line

    def start(self, key: IntentKey, intent: Intent | None) -> bool:
        """Carry out an intent, unless it is already running; return False if neither a slot nor the queue has room.

        intent: None to read it from its owner.
        """
        if self._closed or key in self._line:
            return True
        if key in self._running:
            self._again.add(key)  # it may have been issued again while the first run is ending
        elif self._may_begin:
            self._begin(key, intent)
        elif self.has_room:
            self._line[key] = intent
        else:
            return False
        return True

    def time_out(self, key: IntentKey) -> bool:
        """End an intent whose deadline has passed: find out which of its commands took effect, and report that.

        Return False if neither a slot nor the queue has room.
        """
        if self._closed:
            return True
        if key in self._running or self._may_begin:
            self._line.pop(key, None)
            self._begin(key, _TIME_OUT)
        elif key in self._line or self.has_room:
            self._line[key] = _TIME_OUT
        else:
            return False
        return True

    @property
    def has_room(self) -> bool:
        """Whether another intent may be queued."""
        return len(self._line) < self._max_waiting

    async def close(self) -> None:
        """Stop; the next run of the program carries out the unfinished intents."""
        self._closed = True
        parts = [part for run in self._running.values() for part in run.parts.values()]
        for run in self._running.values():
            run.stop()
        await asyncio.gather(*parts, return_exceptions=True)

    @property
    def _may_begin(self) -> bool:
        return self._opened and len(self._running) < self._max_running

    # --- runs -----------------------------------------------------------------------------------------------------

    def _begin(self, key: IntentKey, work: Intent | Literal["time out"] | None) -> None:
        before = self._running.get(key)
        assert before is None or work is _TIME_OUT, "an intent is carried out by one run"
        run = self._running[key] = _Run(key)
        if isinstance(work, Intent):
            self._carry_out(run, work)
        elif work is None:
            self._have_done(run, _WHOLE, partial(self._resume, run, _WHOLE))
        else:
            if before is not None:
                before.stop()
            time_out = partial(self._time_out, run, before)
            self._have_done(run, _WHOLE, time_out, again=time_out)

    def _carry_out(self, run: _Run, intent: Intent) -> None:
        run.intent = intent
        if intent.effect:
            self._have_done(run, _WHOLE, partial(self._policy.effect, run.key, intent))
            return
        for index in intent.commands:
            answer = self._policy.offer(run.key, intent, index, self._take_answer, (run, index))
            if answer is None:
                self._have_done(run, index, partial(self._policy.command, run.key, intent, index, None))
            else:
                run.parts[index] = answer

    def _answered(self, answer: Answer) -> None:
        """Take the reply to a command: report it, or let a task retry."""
        run: _Run
        run, index = answer.about
        error = answer.exception()
        if run.stopped:
            return
        key, intent, policy = run.key, run.intent, self._policy
        if error is not None:
            assert isinstance(error, Exception), "an error reply is one of Actorium's errors"
            if isinstance(error, CommandConflict) or not policy.is_final(key, intent, error):
                self._have_done(run, index, partial(policy.command, key, intent, index, error))
                return
        report = policy.report_of(key, intent, index, answer.result() if error is None else None, error, 1)
        try:
            taken = policy.report_nowait(key, intent, report, self._take_receipt, (run, index, report))
        except Exception:  # the owner takes no mail now; the task says why, and waits
            taken = None
        if taken is None:
            self._have_done(run, index, partial(policy.report, key, intent, report))
        else:
            run.parts[index] = taken

    def _reported(self, taken: Answer) -> None:
        run: _Run
        run, index, report = taken.about
        failed = taken.exception() is not None
        if run.stopped:
            return
        if failed:
            self._have_done(run, index, partial(self._policy.report, run.key, run.intent, report))
        else:
            self._part_is_over(run, index, taken)

    def _part_is_over(self, run: _Run, index: int, part: asyncio.Future[Any]) -> None:
        parts = run.parts
        if parts.get(index) is part:
            del parts[index]
        if parts or self._running.get(run.key) is not run:
            return
        del self._running[run.key]
        if run.key in self._again:
            self._again.discard(run.key)
            self.start(run.key, None)
        if self._line:
            self._go_on()

    def _go_on(self) -> None:
        """Start queued intents, as far as there is room."""
        free = max(0, self._max_running - len(self._running))
        for key in [*islice(self._line, free)]:
            if self._may_begin and not self._closed:
                self._begin(key, self._line.pop(key))

    # --- tasks ----------------------------------------------------------------------------------------------------

    def _have_done(self, run: _Run, index: int, work: Work, *, again: Work | None = None) -> None:
        """Run a part in a task; if it fails, the task continues with `again`, or with the owner's records."""
        task = self._loop.create_task(self._kept_up(run, work, again or partial(self._resume, run, index)))
        run.parts[index] = task
        task.add_done_callback(partial(self._part_is_over, run, index))

    async def _kept_up(self, run: _Run, work: Work, again: Work) -> None:
        """Retry the work until it is done or the runtime ends; in that case, the next run reads it from the log."""
        attempt = 0
        while True:
            try:
                await work()
                return
            except RuntimeClosed:
                return
            except BaseException as raised:
                let_through(raised)
                attempt += 1
                said = {"error": error_text(raised), "traceback": raised}
                log.error("intent_waits", intent=str(run.key), attempt=attempt, **said)
            await asyncio.sleep(_TASK_RETRY.wait_s(attempt, self._source))
            work = again

    async def _resume(self, run: _Run, index: int) -> None:
        """Carry out a part of an intent if its owner's records show that it is still open."""
        intent = await self._policy.recorded(run.key)
        if intent is None:
            return
        if 0 < intent.deadline_us <= self._source.now_us() and await self._policy.past_deadline(run.key):
            return
        if index == _WHOLE and not intent.effect:
            self._carry_out(run, intent)
        elif intent.effect:
            await self._policy.effect(run.key, intent)
        elif index in intent.commands:
            await self._policy.command(run.key, intent, index, None)

    async def _time_out(self, run: _Run, before: _Run | None) -> None:
        if before is not None and before.parts:
            await asyncio.wait(before.parts.values())
        if not await self._policy.past_deadline(run.key):
            await self._resume(run, _WHOLE)


class IntentRunners:
    """The two runners of a runtime; steps and submissions have separate limits."""

    def __init__(self, steps: IntentRunner, submissions: IntentRunner) -> None:
        self.steps = steps
        self.submissions = submissions

    def of(self, owner: str) -> IntentRunner:
        """Return the runner for an owner's intents."""
        return self.submissions if owner == SUBMISSION else self.steps

    @property
    def has_room(self) -> bool:
        """Whether another intent of either kind may be queued."""
        return self.steps.has_room and self.submissions.has_room

    def limit(self, *, max_running: int, max_waiting: int) -> None:
        """Change the limits of each runner."""
        for runner in (self.steps, self.submissions):
            runner.limit(max_running=max_running, max_waiting=max_waiting)

    def open(self) -> None:
        """Start to send: the runtime now accepts commands."""
        self.steps.open()
        self.submissions.open()

    async def close(self) -> None:
        """Stop; the next run of the program carries out the unfinished intents."""
        await self.steps.close()
        await self.submissions.close()
