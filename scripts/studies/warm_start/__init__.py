"""General-purpose weights: how they were learned, and what they save on each environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.pretrain_choice import WARM_STEPS
from scripts.studies.core import STUDIES, Part, Result, Study
from scripts.studies.experiments import Experiments
from scripts.studies.report import format_metric, markdown_image, markdown_table
from scripts.studies.warm_start.compare import study
from scripts.studies.warm_start.learn import write_weights

ENVS = (
    *("ALE/Breakout-v5", "CoinrunEasy-v0", "VizdoomBasic-v1", "MiniWorld-OneRoom-v0"),
    *("CrafterReward-v1", "CarRacing-v3"),
)
"""Half of the suite: games, levels, corridors, a room, a world of tiles and a road."""
GENERAL = f"general, {WARM_STEPS} steps"


def part(env_id: str) -> Part:
    """Return the part that compares initial weights on one environment."""

    def compare() -> Study:
        return study(env_id)

    compare.__doc__ = f"Initial weights for {env_id}."
    return compare


@STUDIES.register("warm_start")
@dataclass(frozen=True)
class WarmStart(Experiments):
    """Initial weights of an encoder.

    An encoder that is chosen from frames starts from general-purpose weights, which were learned
    from random shapes that move over random backgrounds (after Baradad et al. 2021,
    arXiv:2106.05963), without any environment: `python scripts/study.py warm_start --learn` learns
    them. Here are encoders of six environments of the suite, each trained on 2,000 frames from
    these weights and from fresh ones. All values are of held-out frames and of one seed; the same
    frames, losses, learning rate and batch size serve all columns.
    """

    name = "warm_start"
    parts = {env_id.replace("/", "_"): part(env_id) for env_id in ENVS}

    learn: bool = False
    """Learn the weights again and write them into the package; compare nothing."""

    def run(self) -> None:
        """Learn the weights, or run the parts without a result."""
        if self.learn:
            print(write_weights())
        else:
            super().run()

    def blocks(self, results: Mapping[str, Result], page: Path) -> Iterator[str]:
        """Yield a table for each metric, then the images."""
        studies = {name: result.read() for name, result in results.items()}
        yield from _tables(studies)
        for name, result in results.items():
            for number, caption in enumerate(studies[name].images):
                image = markdown_image(f"{name}: {caption}", result.image(number), page)
                yield f"{image}\n*{name}. {caption}.*\n"


def _tables(studies: dict[str, Study]) -> Iterator[str]:
    first = next(iter(studies.values()))
    columns = ["environment", GENERAL, *first.rows[0].baselines]
    for number, row in enumerate(first.rows):
        yield f"## {row.metric.capitalize()}\n"
        cells = [
            [name, *map(format_metric, (found.value, *found.baselines.values()))]
            for name, found in ((name, study.rows[number]) for name, study in studies.items())
        ]
        yield markdown_table(columns, cells)
