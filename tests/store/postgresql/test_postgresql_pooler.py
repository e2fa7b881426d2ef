"""A pooler that does not keep a connection's settings is refused, whether it says so or drops them."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from support.postgres import with_options

from actorium.store.errors import ConfigurationError
from actorium.store.urls import open_store

# As PgBouncer answers a start-up parameter that it does not know.
REFUSAL = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: search_path\0\0"


@asynccontextmanager
async def pooler(url: str, *, refuses: bool) -> AsyncIterator[str]:
    """Yield a URL by way of a pooler that refuses the settings of a connection, or ignores them."""
    parts = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!i", await reader.readexactly(4))
        start = await reader.readexactly(length - 4)
        if refuses:
            writer.write(b"E" + struct.pack("!i", len(REFUSAL) + 4) + REFUSAL)
            writer.close()
            return
        words = start[4:].split(b"\0")
        kept = [
            word
            for pair in zip(words[::2], words[1::2], strict=False)
            if pair[0] in (b"user", b"database")
            for word in pair
        ]
        body = start[:4] + b"\0".join(kept) + b"\0\0"
        from_server, to_server = await asyncio.open_connection(parts.hostname, parts.port)
        to_server.write(struct.pack("!i", len(body) + 4) + body)
        await asyncio.gather(passed_on(reader, to_server), passed_on(from_server, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield with_options(url.replace(f":{parts.port}/", f":{port}/"), sslmode="disable")
    server.close()
    await server.wait_closed()


async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("refuses", [True, False])
@pytest.mark.asyncio
async def test_a_pooler_is_refused_with_advice(url: str, refuses: bool) -> None:
    async with pooler(url, refuses=refuses) as through:
        with pytest.raises(ConfigurationError, match=r"a connection pooler .* the log needs sessions; connect to"):
            await open_store(through).open()
