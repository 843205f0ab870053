"""Speed on this machine: medians of repeated measurements in one run."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.benchmark import BENCHMARKS
from scripts.cli import run


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure speed on this machine."""

    name: str = "all"
    """fit, encode, step, or all."""
    repeats: int = 5
    """Measurements of each row; the median is printed."""


def main(config: BenchmarkConfig) -> None:
    """Measure speed on this machine."""
    names = list(BENCHMARKS) if config.name == "all" else [config.name]
    for name in names:
        measure: Callable[[int], list[tuple[str, float]]] = BENCHMARKS[name]
        print(f"\n{name}: frames/s, median of {config.repeats}")
        for row, rate in measure(config.repeats):
            print(f"  {row:<44} {rate:>10,.0f}")


if __name__ == "__main__":
    run(BenchmarkConfig, main)
