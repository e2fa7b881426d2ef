"""Find which table or index each page of an SQLite file belongs to, from the file itself.

SQLite keeps each table and index as a tree of pages whose inner pages list their children; its file format is
described at https://www.sqlite.org/fileformat2.html. Nothing in the file is trusted: a number that is not a page, or
that was already visited, is skipped.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping

_HEADER_BYTES = 100  # before the tree on page 1
_INNER = frozenset({2, 5})  # the kinds of page that list others
_INNER_HEADER_BYTES = 12
_FREE_LIST_AT = 32  # in the header


def owners(path: str, roots: Mapping[int, str]) -> dict[int, str]:
    """Return the name of the tree of each page, for trees with these roots; "" for a free page.

    Pages that hold the rest of a long row belong to no tree here.
    """
    with open(path, "rb", buffering=0) as file:
        pages = _Pages(file.fileno())
        found = dict.fromkeys(pages.free(), "")
        for root, name in roots.items():
            waiting = [root]
            while waiting:
                page = waiting.pop()
                if page not in found and 0 < page <= pages.count:
                    found[page] = name
                    waiting += pages.below(page)
    return found


class _Pages:
    """The pages of an open file, by number."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        header = os.pread(descriptor, _HEADER_BYTES, 0)
        (size,) = struct.unpack_from(">H", header, 16)
        self._size = 65_536 if size <= 1 else size
        self._first_free = struct.unpack_from(">I", header, _FREE_LIST_AT)[0]
        self.count = os.fstat(descriptor).st_size // self._size

    def below(self, page: int) -> list[int]:
        """Return the pages that an inner page lists; nothing for a leaf."""
        content = self._read(page)
        start = _HEADER_BYTES if page == 1 else 0
        if content[start] not in _INNER:
            return []
        (cells,) = struct.unpack_from(">H", content, start + 3)
        cells = min(cells, (self._size - start - _INNER_HEADER_BYTES) // 2)
        places = struct.unpack_from(f">{cells}H", content, start + _INNER_HEADER_BYTES)
        listed = [struct.unpack_from(">I", content, place)[0] for place in places if place <= self._size - 4]
        return [*listed, struct.unpack_from(">I", content, start + 8)[0]]

    def free(self) -> list[int]:
        """Return the pages on the free list."""
        found: list[int] = []
        seen = set()
        page = self._first_free
        while 0 < page <= self.count and page not in seen:
            seen.add(page)
            content = self._read(page)
            page, count = struct.unpack_from(">II", content)
            count = min(count, self._size // 4 - 2)
            found += struct.unpack_from(f">{count}I", content, 8)
        return [*seen, *found]

    def _read(self, page: int) -> bytes:
        return os.pread(self._descriptor, self._size, (page - 1) * self._size)
