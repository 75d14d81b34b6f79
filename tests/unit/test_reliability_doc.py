import re

from tests.helpers import REPOSITORY

NAME = re.compile(r"`((?:test|capi|runtime|engine|contract)_[a-z0-9_]{12,})`")


def test_reliability_page_names_only_tests_that_exist():
    page = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = set(NAME.findall(page))
    assert len(named) >= 20
    sources = [path for suffix in ("*.py", "*.cpp") for path in (REPOSITORY / "tests").rglob(suffix)]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    there = set(re.findall(r"^ *(?:def |TEST\()(\w+)", text, re.MULTILINE))
    assert named - there == set()


def test_reliability_page_gives_each_fault_a_test():
    page = (REPOSITORY / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = page.split("|---|---|---|\n", 1)[1].split("\n\n", 1)[0].splitlines()
    assert len(rows) >= 20
    assert [row for row in rows if not NAME.search(row.split("|")[3])] == []
