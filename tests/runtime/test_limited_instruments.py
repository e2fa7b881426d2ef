"""Instruments that observe only commands with a header, and ignore callbacks that they override."""

from collections.abc import Sequence

from support.bank import Add, Tally
from support.virtual_time import settled, virtual

from actorium import Instrument, Runtime
from actorium.instruments import ObservedAnswer, ObservedCommand


class All(Instrument):
    def __init__(self) -> None:
        self.received: list[str] = []
        self.answered: list[str] = []
        self.hydrated = 0

    def commands_received(self, commands: Sequence[ObservedCommand]) -> None:
        self.received += [one.command_id for one in commands]

    def commands_answered(self, answers: Sequence[ObservedAnswer]) -> None:
        self.answered += [one.command.command_id for one in answers]

    def actor_hydrated(self, stream_type: str, stream_id: str, version: int, took_s: float) -> None:
        self.hydrated += 1


class OfTraces(All):
    header = "trace"
    ignores = ("actor_hydrated",)


@virtual
async def test_only_commands_with_the_header_are_observed_and_ignored_callbacks_are_not_called() -> None:
    instrument = OfTraces()
    async with Runtime([Tally], store="memory://", instruments=[instrument]) as runtime:
        await runtime.send(Add("t"), headers={"user": "ann"})
        await runtime.send(Add("t"), command_id="traced", headers={"trace": "1", "user": "ann"})
        await runtime.send(Add("t"))
        await settled()
    assert instrument.received == instrument.answered == ["traced"]
    assert instrument.hydrated == 0


@virtual
async def test_an_instrument_without_a_header_beside_it_still_observes_every_command() -> None:
    other = All()
    async with Runtime([Tally], store="memory://", instruments=[OfTraces(), other]) as runtime:
        await runtime.send(Add("t"), command_id="plain")
        await settled()
    assert other.received == other.answered == ["plain"]
    assert other.hydrated == 1
