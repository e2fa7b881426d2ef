"""SQL on the tables of a log that no runtime has open, in a file or on a server, as another program would run it."""

import contextlib
import sqlite3
from typing import Any

import asyncpg
from support.postgres import schema_of


async def run_on(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements on a log; return the rows of the last one."""
    rows: list[Any] = []
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///").partition("?")[0])) as db, db:
            for statement in statements:
                rows = db.execute(statement).fetchall()
        return rows
    settings = {"search_path": f'"{schema_of(url)}"'}
    connection = await asyncpg.connect(url.partition("?")[0], server_settings=settings)
    try:
        async with connection.transaction():
            for statement in statements:
                rows = await connection.fetch(statement)
    finally:
        await connection.close()
    return [tuple(row) for row in rows]


async def cut_off(url: str, *, after_position: int) -> None:
    """Take the last events out of a closed log, as if a copy from before them had been put back."""
    if url.startswith("sqlite"):
        marks = ("stream_versions_mark", f"position = {after_position}, complement = ~{after_position}")
        removed = [f"DELETE FROM stream_versions WHERE position > {after_position}"]
    else:
        marks, removed = ("log", f"position = {after_position}"), []
    await run_on(
        url,
        f"DELETE FROM events WHERE position > {after_position}",
        *removed,
        f"UPDATE {marks[0]} SET {marks[1]}",
    )
