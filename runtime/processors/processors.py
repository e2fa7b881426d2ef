"""`Processors` and `AllDeadLetters`: access to the processors of a runtime, for monitoring and repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from actorium.runtime.processors.processor import Processor
from actorium.store.errors import ConfigurationError
from actorium.store.event_store import DeadLetter


class Processors(Mapping[object, Processor]):
    """The processors of a runtime, one for each projection class, `@react` function, outlet and saga class.

    `runtime.processors` maps a handler to its processor: `runtime.processors[Balances].pause()`. Once sagas or
    submitted commands exist, it includes the agenda, which follows the sagas' own events. Every use raises
    RuntimeClosed while the runtime is not running.
    """

    def __init__(self, running: Callable[[], Mapping[object, Processor]]) -> None:
        self._running = running

    def __getitem__(self, handler: object) -> Processor:
        """Return the processor of a handler; raise ConfigurationError for a handler that is not in the runtime."""
        processor = self._running().get(handler)
        if processor is None:
            raise ConfigurationError(
                f"{handler!r} is not a projection, @react function, outlet or saga of this runtime: add it to "
                "Runtime([…])"
            )
        return processor

    def __iter__(self) -> Iterator[object]:
        return iter(list(self._running()))

    def __len__(self) -> int:
        return len(self._running())

    def __contains__(self, handler: object) -> bool:
        return handler in self._running()

    def get(self, handler: object, default: Any = None, /) -> Any:
        """Return the processor of a handler, or the default."""
        return self._running().get(handler, default)


class AllDeadLetters:
    """The parked events of all processors of a runtime.

    Every method raises RuntimeClosed while the runtime is not running, and ConfigurationError for a handler that is not
    in the runtime.
    """

    def __init__(self, processors: Processors) -> None:
        self._processors = processors

    def list(self, handler: object = None, *, discarded: bool = False) -> list[DeadLetter]:
        """Return the parked events in log order.

        handler: only those of this projection class, `@react` function, outlet or saga class.
        discarded: return the discarded events instead of the parked ones.
        """
        letters = [letter for one in self._chosen(handler) for letter in one.dead_letters(discarded=discarded)]
        return sorted(letters, key=lambda letter: (letter.position, letter.processor))

    async def retry(self, letter: DeadLetter | None = None, *, handler: object = None) -> int:
        """Redeliver parked events and the events held back behind them; return how many parked events were resolved.

        letter: only this one. Raises NotFound if it is no longer parked.
        handler: only those of this handler.
        """
        if letter is not None:
            return await self._processor_of(letter).retry(letter.position)
        done = 0
        for processor in self._chosen(handler):
            if processor.dead_letters():
                done += await processor.retry()
        return done

    async def discard(self, letter: DeadLetter, *, reason: str) -> bool:
        """Discard a parked event and deliver the events held back behind it; return whether all of them succeeded.

        letter: as `list` returns it. Raises NotFound if it is no longer parked.
        reason: stored with it; must not be empty.
        """
        return await self._processor_of(letter).discard(letter.position, reason)

    def _chosen(self, handler: object) -> Iterator[Processor]:
        return iter(self._processors.values() if handler is None else [self._processors[handler]])

    def _processor_of(self, letter: DeadLetter) -> Processor:
        for processor in self._processors.values():
            if processor.name == letter.processor:
                return processor
        raise ConfigurationError(
            f"the dead letter belongs to the processor {letter.processor!r}, which this runtime does not have"
        )
