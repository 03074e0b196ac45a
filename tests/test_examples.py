"""Every example runs, and makes the picture of its name, or prints."""

import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_makes_its_picture_or_prints(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / name))
    pictures = [path.name for path in tmp_path.iterdir()]
    assert pictures == ([] if capsys.readouterr().out else [f"{Path(name).stem}.png"])


def test_one_addition_is_right_and_fits_on_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples/one_addition.py"))
    text = capsys.readouterr().out
    said = [line.split(" y ")[1].split("  target ") for line in text.splitlines() if "  target " in line]
    assert [round(float(y)) for y, _ in said] == [0, 0, 1, 0]  # 3 + 1 = 4, least significant bit first
    assert all(round(float(y)) == float(target.split()[0]) for y, target in said)
    assert len(text.splitlines()) < 90
