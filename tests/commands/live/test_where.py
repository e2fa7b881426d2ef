"""The option `--at`: a file, a socket, a console's URL or a log's URL; and everything that can be wrong with it."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command_line import output
from support.postgres import new_log
from support.served import Served, served_shop
from support.shop import PARTS, Faults, place, until

from actorium import Runtime
from actorium.console import control_socket


@pytest.fixture
def shop(log_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A running shop with a stuck saga, and the files of its tokens."""
    monkeypatch.chdir(tmp_path)
    Path("operator").write_text("operate-token-of-16\n", encoding="utf-8")
    Path("viewer").write_text("viewer-token-of-16\n", encoding="utf-8")
    with served_shop(log_url) as shop:
        shop.do(place(shop.runtime, "o-1"))
        shop.do(until(shop.runtime, "o-1", "failed"))
        yield shop


def said(text: str) -> str:
    return " ".join(text.split())


def test_an_operator_acts_through_the_url_of_the_console_with_a_token(
    shop: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--at", f"{shop.url}/", "--token-file", "operator")
    assert output(capsys, "status", *where)[0] == 0
    assert "Checkout  o-1  failed" in output(capsys, "sagas", "list", *where)[1]
    Faults.warehouse = False
    code, out, _ = output(capsys, "sagas", "retry", "Checkout", "o-1", *where, "--reason", "paper is back")
    assert (code, out.splitlines()[-1]) == (0, "1 done")
    shop.do(until(shop.runtime, "o-1", "completed"))
    code, out, _ = output(capsys, "events", "tail", *where, "--type", "operator.acted")
    assert "actorium.operator<ann>" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--token-file", "viewer"], "vic has the role 'view', and this needs 'operate'"),
        ([], "wants a token: write it to a file, and give its name with --token-file"),
        (["--token-file", "wrong"], "does not know this token: check the file of --token-file"),
    ],
    ids=["viewer", "no token", "wrong token"],
)
def test_without_the_role_nothing_is_done(
    shop: Served, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("wrong").write_text("unknown-token-of-16", encoding="utf-8")
    retry = ("sagas", "retry", "Checkout", "o-1", "--at", shop.url, *words, "--reason", "x")
    code, _, err = output(capsys, *retry)
    assert code == 1
    assert message in said(err)
    assert output(capsys, "events", "tail", "--at", shop.at, "--type", "operator.acted")[:2] == (0, "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--at", "https://"], "write the URL of a console"),
        (["--at", "http://host:99999/"], "Port out of range"),
        (["--at", "http://ann:secret@host/"], "write the URL of a console"),
        (["--at", "http://host/", "--token-file", "nothing"], "there is no file nothing"),
        (["--at", "http://host/", "--token-file", "empty"], "empty holds no token"),
        (["--at", "SHOP", "--token-file", "operator"], "--token-file is for the URL of a console"),
        pytest.param(["--at", "memory://"], "belongs to one process", marks=pytest.mark.about("memory", "it names it")),
        (["--at", "sqlite:///nothing.db"], "there is no file"),
        (["--at", "ftp://host/"], "no known scheme"),
        (["--at", "nothing.db"], "there is no file nothing.db"),
    ],
)
def test_a_place_that_cannot_be_is_wrong_use(
    shop: Served, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").write_text("two words", encoding="utf-8")
    code, _, err = output(capsys, "status", *(shop.at if word == "SHOP" else word for word in words))
    assert code == 2
    assert message in said(err)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>", b"HTTP/1.1 200 OK\r\n\r\n{}"])
def test_what_is_not_a_console_is_reported(answer: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        place = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        code, _, err = output(capsys, "sagas", "list", "--at", place)
        serving.join()
    assert code == 1
    assert f"the console at {place}" in said(err)
    code, _, err = output(capsys, "sagas", "list", "--at", place)  # nobody listens any more
    assert code == 1
    assert "did not answer" in said(err)


def test_the_commands_read_a_log_in_postgresql_and_reach_its_application_by_socket(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(url: str) -> None:
        Faults.warehouse = Faults.mail = True
        async with Runtime(PARTS, store=url) as runtime, control_socket(runtime, tmp_path / "shop.sock") as place_:
            await place(runtime, "o-1")
            await until(runtime, "o-1", "failed")
            Faults.warehouse = False
            words = ("sagas", "retry", "Checkout", "o-1", "--at", str(place_), "--reason", "paper is back")
            assert (await asyncio.to_thread(output, capsys, *words))[0] == 0
            await until(runtime, "o-1", "completed")
            code, _, err = await asyncio.to_thread(
                output, capsys, "sagas", "skip", "Checkout", "o-1", "--at", url, *words[-2:]
            )
            assert code == 1
            assert "give the URL of its console" in said(err)
            assert "completed" in (await asyncio.to_thread(output, capsys, "sagas", "list", "--at", url))[1]

    with new_log() as url:
        code, _, err = output(capsys, "status", "--at", url)
        assert code == 2
        assert "there is no log" in said(err)
        asyncio.run(run(url))
        reads = [
            ["status"],
            ["sagas", "list", "--status", "completed", "--prefix", "o"],
            ["submissions", "list"],
            ["events", "tail", "--type", "OrderPlaced"],
            ["stream", "show", "Order", "o-1"],
            ["causes", "Order/o-1/1"],
            ["dead-letters", "list"],
        ]
        for words in reads:
            code, out, err = output(capsys, *words, "--at", url)
            assert code == 0, err
            assert "this is read from the log" in said(err)
            assert "o-1" in out or words[0] in ("status", "submissions"), words
        for words in (["state", "Order", "o-1"], ["processors", "list"], ["services"], ["schedules", "list"]):
            code, _, err = output(capsys, *words, "--at", url)
            assert code == 1
            assert "needs the running application, and only its log is read here: give the URL of its" in said(err)
