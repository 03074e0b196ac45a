"""Every Python block of every page runs, in order, and prints what the page says."""

import re
from pathlib import Path
from typing import Any

import pytest

from saiki.cells import CELLS
from tests.golden.make_losses import TABLE, row

ROOT = Path(__file__).parent.parent
ROUNDED = r"\d\.\de-\d+"  # an error of rounding is another on another machine
PAGES = sorted(str(page.relative_to(ROOT)) for page in (*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")))
TRANSLATIONS = [page for page in PAGES if page.endswith(".ja.md")]


def blocks(page: str) -> list[tuple[str, str]]:
    return re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run_and_print_what_the_page_says(
    page: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {"__name__": "page"}
    printed = ""
    for language, text in blocks(page):
        if language == "python":
            exec(compile(text, page, "exec"), scope)
            printed = capsys.readouterr().out
            lines = iter(printed.splitlines())
            for said in re.findall(r"^print\(.*\) +# (.*)$", text, re.MULTILINE):
                assert said in lines  # after what was said before: one True does not stand for two
        elif printed:  # the output of the block before
            assert re.sub(ROUNDED, "", printed.strip()) == re.sub(ROUNDED, "", text.strip())
            printed = ""


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_both_languages_show_the_same(translation: str) -> None:
    original = translation.replace(".ja.md", ".md")
    english, japanese = (
        [(language, re.sub(r" +#.*", "", text)) for language, text in blocks(page)] for page in (original, translation)
    )
    assert english == japanese


def test_the_table_of_cells_is_complete() -> None:
    (table,) = TABLE.findall((ROOT / "docs/cells.md").read_text())
    for line, name in zip(table.splitlines(), CELLS, strict=True):
        assert line.startswith(row(name))
