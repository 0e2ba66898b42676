"""The tests that docs/reliability.md names exist in the files that it names."""

import re

from projects import REPOSITORY


def test_every_test_that_the_page_names_exists() -> None:
    text = (REPOSITORY / "docs/reliability.md").read_text(encoding="utf-8")
    files = {path.name: path.read_text(encoding="utf-8") for path in (REPOSITORY / "tests").rglob("test_*.py")}
    page = re.sub(r"`tests/\w+(\.py)?`", "", text)
    named = re.findall(r"`(test_\w+\.py)`:((?:\s*`test_\w+`,?)+)", page)
    for file, tests in named:
        for test in re.findall(r"`(test_\w+)`", tests):
            assert f"def {test}(" in files[file], f"{file} has no {test}"
    for test in re.findall(r"\(`(test_\w+)`\)", page):  # these are the fuzzers
        assert any(f"def {test}(" in content for content in files.values()), test
    assert len(named) > 20
