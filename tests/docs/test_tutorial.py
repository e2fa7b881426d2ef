"""The blocks of the tutorial, one after the other, form a program."""

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_blocks_of_the_tutorial_form_a_program_that_runs_and_type_checks(tmp_path: Path) -> None:
    program = tmp_path / "bank.py"
    program.write_text("\n\n".join(BLOCK.findall(PAGE.read_text(encoding="utf-8"))), encoding="utf-8")
    for command in ([program.name], ["-m", "mypy", "--strict", program.name]):
        run = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=100)
        assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "bank.db").exists()
