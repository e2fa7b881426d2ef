"""The PostgreSQL store keeps the contracts of a log that several processes open, one at a time or as nodes."""

import pytest
from support.postgres_logs import PostgreSQLLogs

from actorium.store.postgresql.nodes.messages import PIECE_BYTES, cut
from actorium.testing import ClusterStoreContract, SharedStoreContract


class TestPostgreSQLIsShared(SharedStoreContract):
    @pytest.fixture
    def logs(self, url: str) -> PostgreSQLLogs:
        return PostgreSQLLogs(url)


class TestPostgreSQLHasNodes(ClusterStoreContract):
    @pytest.fixture
    def logs(self, url: str) -> PostgreSQLLogs:
        return PostgreSQLLogs(url)


@pytest.mark.parametrize("text", ["", "a", "a" * PIECE_BYTES, "a" * (PIECE_BYTES + 1), "ä€𝄞" * 5_000, "𝄞" * 3_950])
def test_a_message_is_cut_into_pieces_that_fit_a_notification(text: str) -> None:
    pieces = cut(text)
    assert "".join(pieces) == text
    assert all(len(piece.encode()) <= PIECE_BYTES for piece in pieces)
    assert text == "" or all(pieces)
