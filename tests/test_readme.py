"""The two READMEs say the same, and what they print is what they say."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = "README.md", "README.ja.md"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_library_example_prints_what_its_comment_says(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(page, "python")
    exec(code, {})
    (said,) = re.findall(r"^print\(.*\) +# (.*)$", code, re.MULTILINE)
    assert capsys.readouterr().out.strip() == said


def test_both_pages_show_the_same() -> None:
    assert blocks(PAGES[0], "text") == blocks(PAGES[1], "text")
    english, japanese = (re.sub(r" +#.*", "", blocks(page, "python")[0]) for page in PAGES)
    assert english == japanese
