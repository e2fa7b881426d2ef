"""`actorium prove bit-rot`: its counts and its exit code."""

import json

import pytest

from actorium_cli import run


@pytest.mark.parametrize("options", [[], ["--after", "kill"], ["--no-verify"]])
def test_flipped_bits_are_counted_by_their_effect(capsys: pytest.CaptureFixture[str], options: list[str]) -> None:
    assert run(["prove", "bit-rot", "--flips", "20", "--json", "-", *options]) == 0
    counts = json.loads(capsys.readouterr().out)
    assert {sum(part[kind] for kind in ("right", "refused", "wrong")) for part in counts["parts"].values()} == {20}
    assert counts["parts"]["the log, in order"]["wrong"] == 0

    assert run(["prove", "bit-rot", "--flips", "4", *options]) == 0
    printed = capsys.readouterr().out
    assert "4 single-bit flips in a file of" in printed
    what = "every read of the log in order" if options == ["--no-verify"] else "every read"
    assert f"{what} returned what was written or raised an error" in printed
