"""`docs/llms.txt` names pages that exist, and the rules for code assistants are complete."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
RULES_COUNT = 10


def test_every_link_leads_to_a_page() -> None:
    links = re.findall(r"\]\(([^)]+)\)", (DOCS / "llms.txt").read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_each_rule_has_a_block_that_runs() -> None:
    page = (DOCS / "how-to/for-code-assistants.md").read_text(encoding="utf-8")
    rules = re.split(r"^## (?=\d+\. )", page, flags=re.MULTILINE)[1:]
    assert [int(rule.partition(".")[0]) for rule in rules] == list(range(1, RULES_COUNT + 1))
    assert [rule.splitlines()[0] for rule in rules if "```python\n" not in rule] == []
