"""README, guides and reference: every Python block runs, and every link leads somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
RESULTS = ROOT / "docs" / "results"
WITH_CODE = [
    page
    for page in PAGES
    if not page.is_relative_to(RESULTS) and "```python" in page.read_text(encoding="utf-8")
]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """Anchors that GitHub gives to the headings of a page."""
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    words = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(prose))
    return {word.replace(" ", "-") for word in words}


def test_pages_with_code_are_found() -> None:
    assert {"README.md", "docs/guide/novelty.md"} <= {name(page) for page in WITH_CODE}


@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_python_blocks_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [
        code for language, code in BLOCK.findall(page.read_text("utf-8")) if language == "python"
    ]
    if any(".register(" in block for block in blocks):
        run_alone("\n".join(blocks), tmp_path)
        return
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)  # initial weights do not depend on the tests before
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)


def run_alone(code: str, folder: Path) -> None:
    """Run code that registers components: in this process they would reach other tests."""
    code = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}"
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    failed, message = done.returncode != 0, done.stderr
    assert not failed, message


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_and_images_exist(page: Path) -> None:
    broken = [
        link for link in LINK.findall(page.read_text(encoding="utf-8")) if not leads(page, link)
    ]
    assert not broken


def leads(page: Path, link: str) -> bool:
    """Whether ``link`` on ``page`` is external, or a file, with the heading that it names."""
    if re.match(r"[a-z]+:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def test_a_broken_link_is_noticed() -> None:
    readme = ROOT / "README.md"
    assert leads(readme, "CONTRIBUTING.md")
    assert not leads(readme, "CONTRIBUTING.md#no-such-heading")
    assert not leads(readme, "docs/no_such_page.md")
