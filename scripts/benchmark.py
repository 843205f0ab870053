"""Speed on this machine: encoding, training, stepping, and the page of the explorer."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import tyro

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli import run
from scripts.studies import explorer_page  # noqa: F401 - registers its benchmark
from scripts.studies.speed import BENCHMARKS, UNITS


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure speed on this machine."""

    name: tyro.conf.Positional[str] = "all"
    """Benchmark: busy, devices, encode, explorer, fit, memory, sparse, step, or all of them."""
    repeats: int = 5
    """Measurements of each row; the median is printed."""


def main(config: BenchmarkConfig) -> None:
    """Measure speed on this machine."""
    warnings.filterwarnings("ignore", "expected a fitted encoder")  # speed needs no training
    for name in BENCHMARKS if config.name == "all" else [config.name]:
        measure = BENCHMARKS[name]
        print(f"\n{name}: {UNITS.get(name, 'frames/s')}, median of {config.repeats}")
        for row, rate in measure(config.repeats):
            print(f"  {row:<44} {rate:>10,.{0 if rate >= 100 else 1}f}")


if __name__ == "__main__":
    run(BenchmarkConfig, main)
