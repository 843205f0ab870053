"""The site of the documentation: its navigation, and in the slow tests its build."""

from __future__ import annotations

import importlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
NAMESPACES = [
    *("latentrl", "latentrl.cli", "latentrl.data", "latentrl.latents", "latentrl.models"),
    *("latentrl.models.backbones", "latentrl.models.heads", "latentrl.models.losses"),
    *(
        "latentrl.novelty",
        "latentrl.share",
        "latentrl.viz",
        "latentrl.viz.explorer",
        "latentrl.wrappers",
    ),
    *("envs", "agents.algorithms"),
]
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
NETWORK = re.compile(r"^(?:https?:)?//")
IN_STYLES = re.compile(r"(?:url\(|@import\s+)[\"']?((?:https?:)?//[^\"')\s]+)")
LOADS = {"icon", "modulepreload", "preconnect", "preload", "stylesheet"}


def leaves(navigation: Any) -> Iterator[str]:
    """Paths in the navigation, in order."""
    if isinstance(navigation, str):
        yield navigation
        return
    entries = navigation.values() if isinstance(navigation, dict) else navigation
    for entry in entries:
        yield from leaves(entry)


def test_the_navigation_names_every_page_once() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = list(leaves(config["nav"]))
    assert sorted(named) == sorted(page.relative_to(ROOT).as_posix() for page in PAGES)


def test_every_namespace_of_the_library_is_checked() -> None:
    packages = {
        ".".join(file.parent.relative_to(ROOT).parts)
        for file in (ROOT / "latentrl").rglob("__init__.py")
        if "__all__" in file.read_text(encoding="utf-8")
    }
    assert packages == {name for name in NAMESPACES if name.startswith("latentrl")}


def public(namespace: ModuleType) -> dict[str, Any]:
    """Names that a namespace exports, without its modules, and their values."""
    values = {name: getattr(namespace, name) for name in getattr(namespace, "__all__", ())}
    return {name: value for name, value in values.items() if not isinstance(value, ModuleType)}


def test_every_public_name_is_in_a_page_of_the_api() -> None:
    pages = (ROOT / "docs" / "reference" / "api").glob("*.md")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    documented = [resolve_name(name) for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]
    # A namespace that a page takes as a whole brings all its names.
    whole = [value for value in documented if isinstance(value, ModuleType)]
    listed = {id(value) for value in documented}
    listed |= {id(value) for namespace in whole for value in public(namespace).values()}
    for namespace in NAMESPACES:
        exported = public(importlib.import_module(namespace))
        assert [name for name, value in exported.items() if id(value) not in listed] == []


class Resources(HTMLParser):
    """Addresses that a browser loads with a page, without a click."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found = IN_STYLES.findall(text)
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        addresses = [values.get("src", ""), *values.get("srcset", "").split(",")]
        if tag == "link" and LOADS & set(values.get("rel", "").split()):
            addresses.append(values.get("href", ""))
        self.found += [address for address in addresses if NETWORK.match(address.strip())]


def test_resources_of_a_network_are_found() -> None:
    page = (
        '<a href="https://a.org"></a><img src="b.png"><script src="//c.org/c.js"></script>'
        '<link rel="stylesheet" href="https://d.org"><style>i{background:url(http://e.org)}</style>'
    )
    assert Resources(page).found == ["http://e.org", "//c.org/c.js", "https://d.org"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as ``make docs`` builds it."""
    for package in ("latex2mathml", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="make docs installs what builds the site")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_no_page_and_no_style_loads_from_a_network(site: Path) -> None:
    pages = {page: Resources(page.read_text("utf-8")).found for page in site.rglob("*.html")}
    assert len(pages) > len(PAGES) - 1
    assert not {page: found for page, found in pages.items() if found}
    styles = {style: IN_STYLES.findall(style.read_text("utf-8")) for style in site.rglob("*.css")}
    assert not {style: found for style, found in styles.items() if found}


@pytest.mark.slow
def test_every_public_name_has_an_anchor(site: Path) -> None:
    pages = (site / "docs" / "reference" / "api").glob("*.html")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    documented = set(re.findall(r'id="[\w.]+\.(\w+)"', text))
    for namespace in NAMESPACES:
        assert set(public(importlib.import_module(namespace))) <= documented, namespace


@pytest.mark.slow
def test_formulas_are_drawn_without_scripts(site: Path) -> None:
    page = (site / "docs" / "reference" / "algorithms.html").read_text(encoding="utf-8")
    assert page.count('display="block"') == 3
    pages = [file.read_text(encoding="utf-8") for file in (site / "docs").rglob("*.html")]
    assert not [text for text in pages if "$<code>" in text or "<mi>\\" in text]


@pytest.mark.slow
@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and its driver")
def test_the_site_opens_from_disk_and_finds_words(site: Path) -> None:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.add_argument("--headless=new")
    options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=webdriver.ChromeService(executable_path=DRIVER)
    )
    try:
        driver.get((site / "index.html").as_uri())
        driver.execute_script("document.querySelector('[data-md-toggle=search]').click()")
        driver.find_element("css selector", ".md-search__input").send_keys("token counts")
        assert "TokenCounts" in wait_for_text(driver, ".md-search-result__list", "TokenCounts")
        loaded = driver.execute_script(
            "return performance.getEntriesByType('resource').map(entry => entry.name)"
        )
        assert [name for name in loaded if not name.startswith("file:")] == []
        assert driver.get_log("browser") == []
    finally:
        driver.quit()


def wait_for_text(driver: Any, selector: str, expected: str, seconds: float = 20) -> str:
    """Text of an element, once it contains what is expected."""
    end = time.monotonic() + seconds
    text = ""
    while expected not in text and time.monotonic() < end:
        text = driver.find_element("css selector", selector).text
        time.sleep(0.1)
    return text
