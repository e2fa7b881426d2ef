"""The virtual clock of these tests, beside a server that works in real time."""

import asyncio

from support.virtual_time import real_work, settled, steps, virtual

ANSWERS = 5
BETWEEN_ANSWERS = 10  # steps, as the runtime needs some until it asks the server again


@virtual
async def test_settled_waits_for_each_answer_and_for_what_follows_it() -> None:
    async def work(steps_of_server: int, answers: list[int]) -> None:
        for number in range(ANSWERS):
            with real_work():
                await steps(steps_of_server)
            await steps(BETWEEN_ANSWERS)
            answers.append(number)

    for steps_of_server in range(1, 100):  # an answer may come in each of the steps of `settled`
        answers: list[int] = []
        working = asyncio.ensure_future(work(steps_of_server, answers))
        await settled()
        assert len(answers) == ANSWERS, steps_of_server
        await working
