"""The page in headless Chromium: every control, the decoded pixels, the console, the network."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import latentrl as lrl
from latentrl.viz.explorer import document
from latentrl.viz.images import model_images
from tests.latentrl.viz.explorer.conftest import Page, drawn, page_of, varied

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and its driver"),
]
PIXELS = """
const { width, height } = document.getElementById(arguments[0]);
const copy = Object.assign(document.createElement('canvas'), { width, height });
const context = copy.getContext('2d', { willReadFrequently: true });
context.drawImage(document.getElementById(arguments[0]), 0, 0);
return [...context.getImageData(0, 0, width, height).data];
"""
SWITCHES = ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1280,1000")


class Browser:
    """A page that is open in Chromium."""

    def __init__(self, page: Page, downloads: Path) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for switch in SWITCHES:
            options.add_argument(f"--{switch}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        service = webdriver.ChromeService(executable_path=DRIVER)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.page = page
        self.open(page.path)

    def open(self, path: Path) -> None:
        self.driver.get(path.as_uri())
        self.wait(lambda: self.run("return Boolean(window.explorer)"))

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], Any], seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {seconds} seconds; console: {self.console()}")

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def press(self, selector: str, *keys: str) -> None:
        for key in keys:
            self.find(selector).send_keys(key)

    def move(self, selector: str, value: float, event: str = "input") -> None:
        self.run(
            "const e = document.querySelector(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event(arguments[2], {bubbles: true}))",
            selector,
            value,
            event,
        )

    def latents(self) -> Any:
        return np.array(self.run("return [...explorer.sliders.z]"), np.float32)

    def pixels(self, canvas: str) -> Any:
        flat = np.array(self.run(PIXELS, canvas), int)
        height, width = self.page.json()["image"]["height"], self.page.json()["image"]["width"]
        return flat.reshape(height, width, 4)[..., :3]

    def check_decoded(self) -> None:
        """Compare the decoded frame with ``model.decode`` of the page's latents."""
        self.wait(lambda: self.run("return !explorer.waits"))
        model = self.page.model
        expected = model_images(model, model.decode(self.latents()[None]))[0].astype(int)
        assert np.abs(self.pixels("decoded") - expected).max() <= 2

    def console(self) -> list[Any]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        messages = [
            json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")
        ]
        urls = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if not url.startswith(("data:", "blob:", "file:"))]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[[Page], Browser]]:
    """Open pages; at the end nothing was logged, and nothing was asked of a network."""
    browsers: list[Browser] = []

    def open_page(page: Page) -> Browser:
        browsers.append(Browser(page, tmp_path))
        return browsers[-1]

    yield open_page
    try:
        for browser in browsers:
            assert browser.console() == []
            assert browser.requests() == []
    finally:
        for browser in browsers:
            browser.driver.quit()


def test_sliders_decode_what_the_model_decodes(opened: Any, vector_page: Page) -> None:
    browser = opened(vector_page)
    browser.check_decoded()
    for slider in vector_page.json()["dimensions"]:
        row, index = f".dimension[data-index='{slider['index']}']", slider["index"]
        browser.move(f"{row} input[type=range]", slider["high"])
        assert browser.latents()[index] == pytest.approx(slider["high"], abs=1e-5)
        browser.check_decoded()
        browser.press(f"{row} input[type=range]", "\ue012")  # the left arrow
        step = (slider["high"] - slider["low"]) / 50
        assert browser.latents()[index] == pytest.approx(slider["high"] - step, abs=1e-5)
        browser.find(f"{row} .reset").click()
        assert browser.latents()[index] == pytest.approx(slider["mean"], abs=1e-5)
    browser.check_decoded()


def test_wide_frames_are_drawn_wide(opened: Any, tmp_path: Path) -> None:
    images = np.repeat(drawn(), 2, axis=2)
    preprocessing = lrl.Preprocessing((0, 0, 0, 0), (16, 16))
    model = varied(images, latent_dim=3, preprocessing=preprocessing)
    browser = opened(page_of(model, images, tmp_path / "wide"))
    for name in ("decoded", "frame", "restored", "difference"):
        shape = "const b = document.getElementById(arguments[0]).getBoundingClientRect();"
        assert browser.run(f"{shape} return b.width / b.height", name) == pytest.approx(2, abs=0.02)


def test_buttons_set_all_sliders(opened: Any, vector_page: Page) -> None:
    browser = opened(vector_page)
    start = browser.latents()
    browser.find("#mean").click()
    mean = vector_page.model.encode(vector_page.images).mean(0)
    np.testing.assert_allclose(browser.latents(), mean, atol=1e-4)
    browser.check_decoded()
    browser.find("#keep-a").click()
    browser.find("#typical").click()
    assert np.array_equal(browser.latents(), start)
    browser.find("#keep-b").click()
    browser.move("#between", 0.25)
    np.testing.assert_allclose(browser.latents(), 0.75 * mean + 0.25 * start, atol=1e-4)
    browser.check_decoded()
    browser.find("#random").click()
    browser.check_decoded()


def test_the_strip_shows_frame_reconstruction_and_difference(
    opened: Any, vector_page: Page
) -> None:
    browser, images = opened(vector_page), vector_page.images
    browser.move("#time", 7)
    restored = model_images(vector_page.model, vector_page.model.reconstruct(images[7:8]))[0]
    assert np.array_equal(browser.pixels("frame"), images[7])
    assert np.abs(browser.pixels("restored") - restored.astype(int)).max() <= 2
    black = browser.pixels("difference").sum(-1) < 60
    assert (np.abs(restored.astype(int) - images[7]).max(-1)[black] < 40).all()
    browser.find("#play").click()
    assert browser.find("#play").text == "Pause"
    browser.wait(lambda: browser.run("return explorer.strip.t") > 8)
    browser.find("#play").click()
    step = browser.run("return explorer.strip.t")
    browser.find("#take").click()
    expected = vector_page.model.encode(images[step])
    np.testing.assert_allclose(browser.latents(), expected, atol=2e-3, rtol=2e-3)


def test_the_map_is_used_by_pointer_and_by_keyboard(opened: Any, vector_page: Page) -> None:
    browser = opened(vector_page)
    assert browser.find("#legend").text.split() == [
        str(int(vector_page.images.max((1, 2, 3)).min())),
        str(int(vector_page.images.max())),
    ]
    for selector, value in (("#across", "z 3"), ("#up", "pca 0"), ("#colour", "shade")):
        browser.move(selector, value, "change")
    browser.press("#points", "\ue014", "\ue013", "\ue007")  # right, up, Enter
    point = browser.run("return explorer.map.hovered")
    expected = vector_page.model.encode(vector_page.images[point])
    np.testing.assert_allclose(browser.latents(), expected, atol=2e-3, rtol=2e-3)
    assert browser.find("#tip").is_displayed()
    assert f"Frame {point}, shade" in browser.find("#point").text
    browser.check_decoded()


def test_dimensions_are_sorted_by_what_they_carry_of_a_factor(
    opened: Any, factor_page: Page
) -> None:
    browser, content = opened(factor_page), factor_page.json()
    latents = factor_page.model.encode(factor_page.images)

    def shown() -> tuple[list[int], list[str]]:
        rows = browser.driver.find_elements("css selector", ".dimension")
        amounts = [row.find_element("css selector", ".information").text for row in rows]
        return [int(row.get_attribute("data-index")) for row in rows], amounts

    for name in ("brightness", "red"):
        values = np.array(content["map"]["factors"][name], float)
        known = np.isfinite(values)
        columns = np.column_stack([values[known], latents[known]])
        expected = np.abs(np.corrcoef(columns.T)[0, 1:])
        if name == "brightness":
            browser.move("#sort", name, "change")
        else:
            browser.find(f"#probes button[aria-label^='{name}']").click()
        order, amounts = shown()
        assert order == np.argsort(-expected).tolist()
        found = [float(amount.removeprefix("|r|")) for amount in amounts]
        np.testing.assert_allclose(found, expected[order], atol=0.011)
    assert browser.find("#colour").get_attribute("value") == "red"
    assert browser.find("#sort").get_attribute("value") == "red"
    listed = [
        button.text.split() for button in browser.driver.find_elements("css selector", ".probe")
    ]
    probe = content["map"]["probe"]
    assert listed == [[name, f"{r2:.2f}"] for name, r2 in probe.items()]
    scores = [f"{name} {score:.2f}" for name, score in content["map"]["scores"].items()]
    assert browser.find("#scores").text == f"Disentanglement: {', '.join(scores)}"
    browser.move("#sort", "KL", "change")
    assert shown()[0] == [slider["index"] for slider in content["dimensions"]]
    browser.check_decoded()


def test_an_image_of_ones_own_is_encoded(opened: Any, vector_page: Page, tmp_path: Path) -> None:
    browser, image = opened(vector_page), drawn(60)[-1]
    Image.fromarray(image).save(tmp_path / "own.png")
    browser.find("#file").send_keys(str(tmp_path / "own.png"))
    browser.wait(lambda: "Your image" in browser.find("#status").text)
    expected = vector_page.model.encode(image)
    np.testing.assert_allclose(browser.latents(), expected, atol=5e-3, rtol=5e-3)
    browser.check_decoded()


def test_names_are_kept_by_save(opened: Any, vector_page: Page, tmp_path: Path) -> None:
    browser = opened(vector_page)
    index = vector_page.json()["dimensions"][0]["index"]
    name = "</script> <b>brightness"
    browser.press(f".dimension[data-index='{index}'] .name", name)
    assert name in browser.find("#keys").text
    browser.find("#save").click()
    saved = browser.wait(lambda: [*tmp_path.glob("*.html")])[0]
    browser.wait(lambda: saved.stat().st_size >= vector_page.path.stat().st_size)
    browser.open(saved)
    field = browser.find(f".dimension[data-index='{index}'] .name")
    assert field.get_attribute("value") == name
    browser.check_decoded()


def test_a_click_on_the_frame_chooses_a_cell_of_the_grid(opened: Any, grid_page: Page) -> None:
    browser = opened(grid_page)
    browser.check_decoded()
    chain = webdriver.ActionChains(browser.driver)
    # Offsets are from the middle, which lies between four cells.
    chain.move_to_element_with_offset(browser.find("#decoded"), 9, 9).click().perform()
    rows, columns = grid_page.json()["grid"]
    place = f"row {rows // 2}, column {columns // 2}, channel"
    first = browser.find(".dimension .place").text
    assert first.startswith(place)
    browser.press("#decoded", "\ue014")
    assert f"column {columns // 2 + 1}" in browser.find(".dimension .place").text
    browser.find("#chosen button").click()
    browser.find("#all").click()
    shown = browser.driver.find_elements("css selector", ".dimension")
    assert len(shown) == grid_page.model.latent_dim


def test_without_a_decoder_sliders_show_traversals(
    opened: Any, vector_page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 120_000)
    page = page_of(vector_page.model, vector_page.images, tmp_path / "sprites")
    browser = opened(page)
    assert "does not run in this page" in browser.find("#notes").text
    slider = page.json()["dimensions"][2]
    browser.move(f".dimension[data-index='{slider['index']}'] input[type=range]", slider["high"])
    latent = browser.latents()
    assert latent[slider["index"]] == pytest.approx(slider["high"], abs=1e-5)
    expected = model_images(page.model, page.model.decode(latent[None]))[0].astype(int)
    assert np.abs(browser.pixels("decoded") - expected).max() <= 2
    browser.press("#points", "\ue014", "\ue007")
    browser.move("#time", 3)


def test_the_page_fits_a_phone_and_follows_the_colour_scheme(opened: Any, grid_page: Page) -> None:
    browser = opened(grid_page)
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    browser.run("document.getElementById('strip').scrollIntoView()")
    browser.wait(lambda: browser.find("#small").is_displayed())
    grounds = set()
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        grounds.add(browser.run("return getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_every_control_has_a_name(opened: Any, grid_page: Page) -> None:
    browser = opened(grid_page)
    controls = browser.driver.find_elements("css selector", "input, button, select, canvas")
    visible = [control for control in controls if control.is_displayed()]
    assert len(visible) > 40
    assert all(control.accessible_name for control in visible)
