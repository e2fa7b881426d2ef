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
    assert "4 flips of one bit in a file of" in printed
    what = "the log" if options == ["--no-verify"] else "all that is read"
    assert f"{what} is what was written, or an error says that it is not" in printed
