"""`Questions`: asks other services about their logs over the bus, and answers what they ask about this one.

A question is one message with a subject for its answer. It is not repeated: nothing changes by it, so whoever gets no
answer asks again later.

Invariants: each question that is taken in is answered once, or its time is over; at most `ANSWERS_MAX` are worked on at
a time; an answer that comes late finds nobody and is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from actorium.runtime.bus.bus import Bus, BusMessage, BusSubscription
from actorium.runtime.errors import ServiceUnavailable
from actorium.runtime.services.subjects import questions_to, replies_to, sender_of
from actorium.store.events import as_json
from actorium.store.log import logger
from actorium.store.raised import error_text, let_through, text_of

log = logger("actorium.services")

ANSWERS_MAX = 8
"""So many questions of other services are worked on at a time; more are refused."""
_AROUND_BYTES = 4_096  # for what is around the content of a question
TIME_MAX_S = 600.0
"""No question is worked on for longer, however long its sender waits."""
# The rest of a question's time is for the way of its answer.
_PART_HERE = 0.9


_NOTHING = msgspec.Raw(b"null")


class Question(msgspec.Struct, frozen=True):
    """A question on the wire.

    about: what it asks for.
    time_left_s: how long its sender waits, in seconds.
    """

    about: str
    content: msgspec.Raw
    time_left_s: float


class QuestionReply(msgspec.Struct, frozen=True):
    """The reply to a question: its content, or the reason why there is none."""

    content: msgspec.Raw = _NOTHING
    refusal: str = ""


Answering = Callable[[str, bytes, float], Awaitable[bytes]]
"""Returns the answer to a question, given the service that asks, the content and the time left in seconds."""

_decode_question = msgspec.json.Decoder(Question).decode
_decode_reply = msgspec.json.Decoder(QuestionReply).decode


class Questions:
    """The questions of one process to other services, and its answers.

    may_ask: whether this service answers another.
    """

    def __init__(self, bus: Bus, name: str, instance: str, may_ask: Callable[[str], bool]) -> None:
        self._bus = bus
        self._name = name
        self._reply_to = replies_to(name, f"{instance}-questions")
        self._may_ask = may_ask
        self._answering: dict[str, Answering] = {}
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._number = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._under_way = 0
        self._asked: BusSubscription | None = None

    @property
    def largest_content(self) -> int:
        """The number of bytes that the content of a question may have."""
        return self._bus.largest_message - _AROUND_BYTES

    def answer(self, about: str, answering: Answering) -> None:
        """Answer questions about something with a function."""
        self._answering[about] = answering

    async def prepare(self) -> None:
        """Take replies from now on."""
        await self._bus.subscribe(f"{self._reply_to}.*", self._take_reply)

    async def start(self) -> None:
        """Answer from now on; the processes of one service share its questions."""
        self._asked = await self._bus.subscribe(questions_to(self._name, "*"), self._take, group=self._name)

    async def stop(self) -> None:
        """Answer nothing more."""
        if self._asked is not None:
            await self._asked.cancel()

    def end(self) -> None:
        """Stop the answers under way, and fail what waits for one."""
        for task in self._tasks:
            task.cancel()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ServiceUnavailable(f"{self._name} is stopping", service=self._name))

    async def ask(self, service: str, about: str, content: bytes, timeout_s: float) -> bytes:
        """Return the answer of another service.

        about: what the question is about, as the other service knows it.
        timeout_s: how long to wait, in seconds.

        Raises ServiceUnavailable if there is none in time: the bus or the service is away, does not know the question,
        or refuses to answer it.
        """
        self._number += 1
        number = str(self._number)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        question = as_json(Question(about, msgspec.Raw(content), timeout_s))
        try:
            async with asyncio.timeout(timeout_s):
                await self._bus.publish(questions_to(service, self._name), question, f"{self._reply_to}.{number}")
                data = await waiting
        except TimeoutError:
            raise _unanswered(service, f"no answer within {timeout_s:.3g} s") from None
        finally:
            del self._waiting[number]
        if not data:
            raise _unanswered(service, "it is not on the bus, or does not know the question")
        try:
            reply = _decode_reply(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unanswered(service, "its answer cannot be read") from error
        if reply.refusal:
            raise _unanswered(service, reply.refusal)
        return bytes(reply.content)

    def _take_reply(self, message: BusMessage) -> None:
        waiting = self._waiting.get(message.subject.rpartition(".")[2])
        if waiting is not None and not waiting.done():
            waiting.set_result(message.data)

    def _take(self, message: BusMessage) -> None:
        sender = sender_of(message.subject)
        try:
            question = _decode_question(message.data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            log.warning("question_unreadable", service=sender, error=text_of(error))
            return
        task = asyncio.get_running_loop().create_task(self._reply(sender, question, message.reply))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reply(self, sender: str, question: Question, reply_to: str) -> None:
        reply = as_json(await self._answer(sender, question))
        if len(reply) > self._bus.largest_message:
            reply = as_json(QuestionReply(refusal="its answer is larger than a message may be"))
        try:
            await self._bus.publish(reply_to, reply)
        except BaseException as raised:
            let_through(raised)
            log.warning("answer_lost", service=sender, error=error_text(raised))

    async def _answer(self, sender: str, question: Question) -> QuestionReply:
        answering = self._answering.get(question.about)
        if answering is None:
            return QuestionReply(refusal="it does not know the question")
        if not self._may_ask(sender):
            return QuestionReply(refusal=f"it does not answer {sender}, with which it exchanges nothing")
        if self._under_way >= ANSWERS_MAX:
            return QuestionReply(refusal=f"it answers {ANSWERS_MAX} questions already: ask again later")
        time_left_s = min(question.time_left_s * _PART_HERE, TIME_MAX_S)
        self._under_way += 1
        try:
            async with asyncio.timeout(time_left_s):
                return QuestionReply(msgspec.Raw(await answering(sender, bytes(question.content), time_left_s)))
        except BaseException as raised:
            let_through(raised)
            log.warning("question_failed", service=sender, about=question.about, error=error_text(raised))
            # Without the text of the error, which may hold what an event says.
            return QuestionReply(refusal=f"it failed with {type(raised).__name__}: see its log")
        finally:
            self._under_way -= 1


def _unanswered(service: str, why: str) -> ServiceUnavailable:
    return ServiceUnavailable(why, service=service)
