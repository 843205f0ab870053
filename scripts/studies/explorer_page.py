"""Size of the explorer's page, and times of its decoder and encoder in Chromium."""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from envs.sprites import sprites
from latentrl import beta_vae
from latentrl.models.autoencoder import Autoencoder
from latentrl.types import Array
from latentrl.viz.explorer import explore
from scripts.studies.speed import BENCHMARKS, Rows

FRAMES = 2_000
SIZE = 64
"""Side of the images in pixels."""
SWITCHES = ("headless=new", "no-sandbox", "disable-dev-shm-usage")
OPENED = "return Boolean(window.explorer)"
TIMES = """
const { content, sliders } = explorer;
const work = {
  decode: () => explorer.decode(sliders.z),
  encode: () => runLayers(content.encoder, scaledInput(explorer.decode(sliders.z), content.input)),
};
return Object.entries(work).map(([name, run]) => {
  const times = [];
  for (let i = 0; i <= arguments[0]; i++) {
    const start = performance.now();
    run();
    times.push(performance.now() - start);
  }
  return [name, times.slice(1)];
});
"""
"""Milliseconds of each network, after a first run that compiles it; encoding decodes first."""


@BENCHMARKS.register("explorer")
def explorer_page(repeats: int) -> Rows:
    """Size in kB and time in ms of the page of 64 x 64 images, for two networks."""
    frames = np.repeat(sprites(FRAMES, SIZE)[0], 3, axis=-1)
    rows: Rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, model in _models():
            path, seconds = _written(model, frames, Path(folder) / "latent.html", repeats)
            rows.append((f"{name}: size (kB)", path.stat().st_size / 1_000))
            rows.append((f"{name}: write (ms)", 1_000 * seconds))
            rows += [(f"{name}: {work}", ms) for work, ms in _in_browser(path, repeats)]
    return rows


def _models() -> Iterator[tuple[str, Autoencoder]]:
    space = (SIZE, SIZE, 3)
    yield "vector of 32", beta_vae(space, latent_dim=32)
    yield "grid of 256", beta_vae(space, latent_dim=256, backbone="spatial")


def _written(model: Autoencoder, frames: Array, path: Path, repeats: int) -> tuple[Path, float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        explore(model, frames, path)
        seconds.append(time.perf_counter() - start)
    return path, statistics.median(seconds)


def _in_browser(path: Path, repeats: int) -> Iterator[tuple[str, float]]:
    chromium, driver_path = shutil.which("chromium"), shutil.which("chromedriver")
    if importlib.util.find_spec("selenium") is None or not (chromium and driver_path):
        return
    from selenium import webdriver
    from selenium.webdriver.support.wait import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for switch in SWITCHES:
        options.add_argument(f"--{switch}")
    service = webdriver.ChromeService(executable_path=driver_path)
    with webdriver.Chrome(options=options, service=service) as driver:
        driver.get(path.as_uri())
        WebDriverWait(driver, 60).until(lambda page: page.execute_script(OPENED))
        times = dict(driver.execute_script(TIMES, repeats))
    decode = statistics.median(times["decode"])
    yield "decode in Chromium (ms)", decode
    yield "encode in Chromium (ms)", statistics.median(times["encode"]) - decode
