"""The control socket: beside the log, for its owner, gone when the application is."""

import asyncio
import getpass
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from support.shop import PARTS, PlaceOrder

from actorium import ConfigurationError, Runtime
from actorium.console import control_socket
from actorium.console.api.http import BODY_BYTES_MAX
from actorium.console.control import socket_path
from actorium.console.server import HEAD_BYTES_MAX

beside_file = pytest.mark.about("sqlite", "its socket lies beside the file")


def exchange(place: Path, sent: bytes) -> bytes:
    """Send bytes to the socket and return everything that comes back."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(place))
        client.sendall(sent)
        received = b""
        while chunk := client.recv(65_536):
            received += chunk
    return received


async def asked(place: Path, method: str, target: str, body: Any = None) -> tuple[int, Any]:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    raw = await asyncio.to_thread(exchange, place, head.encode() + b"\r\n\r\n" + content)
    head_bytes, _, payload = raw.partition(b"\r\n\r\n")
    return int(head_bytes.split()[1]), json.loads(payload)


@beside_file
def test_the_owner_of_the_log_acts_without_a_token_and_under_their_name(tmp_path: Path) -> None:
    async def run() -> None:
        async with Runtime(PARTS, store=f"sqlite:///{tmp_path}/shop.db") as runtime:
            async with control_socket(runtime) as place:
                assert place == socket_path(tmp_path / "shop.db")
                assert stat.S_IMODE(place.stat().st_mode) == 0o600
                await runtime.submit(PlaceOrder("o-1", "alice", 1), after_s=1_000, command_id="a")
                body = {"ids": ["a"], "reason": "a mistake"}
                status, report = await asked(place, "POST", "/api/submissions/cancel", body)
                assert (status, report["outcomes"][0]["error"]) == (200, "")
                assert report["recorded_as"] == f"actorium.operator/{getpass.getuser()}/1"
                status, event = await asked(place, "GET", "/api/event?position=1")
                assert (status, event["is_masked"]) == (200, False)
            assert not place.exists()

    asyncio.run(run())


@beside_file
def test_what_is_not_a_request_is_refused_and_the_next_one_is_answered(tmp_path: Path) -> None:
    wrong = [
        b"nonsense\r\n\r\n",
        b"GET http://x/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /api/sagas/retry HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        f"POST /api/sagas/retry HTTP/1.1\r\nContent-Length: {BODY_BYTES_MAX + 1}\r\n\r\n".encode(),
        b"POST /api/sagas/retry HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n",
    ]

    async def run() -> None:
        async with Runtime(PARTS, store=f"sqlite:///{tmp_path}/shop.db") as runtime, control_socket(runtime) as place:
            for sent in wrong:
                answer = await asyncio.to_thread(exchange, place, sent)
                assert answer.startswith(b"HTTP/1.1 400"), sent[:60]
            assert (await asked(place, "GET", "/api/info"))[0] == 200

    asyncio.run(run())


@beside_file
def test_a_socket_that_a_killed_process_left_is_replaced_but_a_served_one_is_not(tmp_path: Path) -> None:
    place = socket_path(tmp_path / "shop.db")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))

    async def run() -> None:
        async with Runtime(PARTS, store=f"sqlite:///{tmp_path}/shop.db") as runtime, control_socket(runtime):
            with pytest.raises(ConfigurationError, match="another process serves"):
                async with control_socket(runtime):
                    pass
            assert (await asked(place, "GET", "/api/info"))[0] == 200

    asyncio.run(run())


def test_places_that_cannot_be_a_socket_are_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with Runtime(PARTS, store="memory://") as runtime:
            with pytest.raises(ConfigurationError, match="not a file"):
                async with control_socket(runtime):
                    pass
            with pytest.raises(ConfigurationError, match="107 bytes"):
                async with control_socket(runtime, tmp_path / ("x" * 200)):
                    pass
            (tmp_path / "file").write_text("mine")
            with pytest.raises(ConfigurationError, match="in the way"):
                async with control_socket(runtime, tmp_path / "file"):
                    pass
            async with control_socket(runtime, tmp_path / "short") as place:
                assert os.fspath(place).endswith("short")
        assert (tmp_path / "file").read_text() == "mine"

    asyncio.run(run())
