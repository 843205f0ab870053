"""Speed on this machine, and studies of how good the autoencoders and the novelty bonuses are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli import run
from scripts.studies import BENCHMARKS, NOVELTY_STUDIES, OF_AGENTS, STUDIES
from scripts.studies.core import Study
from scripts.studies.core import run as run_study
from scripts.studies.report import SECTIONS, print_study, write_page, write_section


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure speed on this machine, or how good the autoencoders or the novelty bonuses are."""

    name: tyro.conf.Positional[str] = "speed"
    """speed (all of encode, fit, sparse, step), one of them, autoencoders, novelty, or probe (what
    codes tell)."""
    repeats: int = 5
    """Measurements of each row of speed; the median is printed."""
    study: str | None = None
    """One of the studies of the autoencoders; all where not given."""
    noise: bool = False
    """Of novelty, also the test that trains agents on noisy frames, which takes long."""
    fresh: bool = False
    """Make studies anew that are already in runs/benchmarks."""
    page: bool = False
    """Write the studies into docs/autoencoders.md with their pictures, docs/novelty.md or
    docs/pretraining.md."""


def main(config: BenchmarkConfig) -> None:
    """Measure speed on this machine, or how good the autoencoders or the novelty bonuses are."""
    if config.name == "autoencoders":
        judge_autoencoders(config)
    elif config.name in SECTIONS:
        names = NOVELTY_STUDIES if config.name == "novelty" else [config.name]
        studies = judge(names if config.noise else names[:1], config.fresh)
        if config.page:
            print(f"\n{write_section(config.name, studies)}")
    elif config.name == "speed" or config.name in BENCHMARKS:
        time_rows(config)
    else:
        known = ", ".join(["speed", *BENCHMARKS, "autoencoders", *SECTIONS])
        raise ValueError(f"unknown benchmark {config.name!r}; known: {known}")


def judge_autoencoders(config: BenchmarkConfig) -> None:
    """Judge the autoencoders by one study or all, and write the page."""
    every = [name for name in STUDIES if name not in OF_AGENTS]
    studies = judge(every if config.study is None else [config.study], config.fresh)
    if config.page and config.study is None:
        print(f"\n{write_page(studies)}")


def judge(names: Sequence[str], fresh: bool) -> dict[str, Study]:
    """Run or read the studies and print them."""
    studies = {}
    for name in names:
        studies[name] = run_study(name, fresh)
        print_study(name, studies[name])
    return studies


def time_rows(config: BenchmarkConfig) -> None:
    """Measure and print frames a second."""
    names = list(BENCHMARKS) if config.name == "speed" else [config.name]
    for name in names:
        measure: Callable[[int], list[tuple[str, float]]] = BENCHMARKS[name]
        print(f"\n{name}: frames/s, median of {config.repeats}")
        for row, rate in measure(config.repeats):
            print(f"  {row:<44} {rate:>10,.0f}")


if __name__ == "__main__":
    run(BenchmarkConfig, main)
