"""A program whose user code raises KeyboardInterrupt: `python -m support.interrupted PLACE`, then says what is left."""

import asyncio
import sys

from support import raising
from support.raising import KINDS, Errand, Notebook, Say, Speaker, Words

from actorium import Runtime
from actorium.store.memory import MemoryStore


async def program(store: MemoryStore, where: str) -> None:
    runtime = Runtime([Speaker, Notebook, Words, raising.heard, Errand], store=store)
    await runtime.start()
    try:
        await runtime.send(Say("a", where, "interrupt"))
        await asyncio.sleep(60)
    finally:
        sys.stdout.write(f"ended by {type(await runtime.ended()).__name__}\n")


async def reopened(store: MemoryStore) -> None:
    await store.open()  # refused, had it not been closed
    sys.stdout.write("closed\n")


def main() -> None:
    store = MemoryStore()
    KINDS["interrupt"] = KeyboardInterrupt
    try:
        asyncio.run(program(store, sys.argv[1]))
    except KeyboardInterrupt:
        sys.stdout.write("interrupted\n")
    asyncio.run(reopened(store))


if __name__ == "__main__":
    main()
