"""A subject that compares encoders on several environments, with a table for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from scripts.studies.core import Part, Result, Study
from scripts.studies.encoders.compare import Arm, study
from scripts.studies.experiments import Experiments
from scripts.studies.report import format_metric, markdown_image, markdown_table

ENVS = (
    *("ALE/Breakout-v5", "CoinrunEasy-v0", "VizdoomBasic-v1", "MiniWorld-OneRoom-v0"),
    *("CrafterReward-v1", "CarRacing-v3"),
)
"""Half of the suite: games, levels, corridors, a room, a world of tiles and a road."""


def parts_of(arms: Sequence[Arm]) -> dict[str, Part]:
    """Return a part for each environment, which compares the encoders ``arms``."""
    return {env_id.replace("/", "_"): part(env_id, arms) for env_id in ENVS}


def part(env_id: str, arms: Sequence[Arm]) -> Part:
    """Return the part that compares encoders of one environment."""

    def compare() -> Study:
        return study(env_id, arms)

    compare.__doc__ = f"Encoders of {env_id}."
    return compare


@dataclass(frozen=True)
class Comparison(Experiments):
    """A subject with one part for each environment, and the metrics of its ``arms``."""

    arms: ClassVar[Sequence[Arm]]
    """The encoders; the first one is the default of ``pretrain_vae.py``."""

    def blocks(self, results: Mapping[str, Result], page: Path) -> Iterator[str]:
        """Yield a table for each metric, then the images."""
        studies = {name: result.read() for name, result in results.items()}
        yield from self._tables(studies)
        for name, result in results.items():
            for number, caption in enumerate(studies[name].images):
                image = markdown_image(f"{name}: {caption}", result.image(number), page)
                yield f"{image}\n*{name}. {caption}.*\n"

    def _tables(self, studies: Mapping[str, Study]) -> Iterator[str]:
        columns = ["environment", *(arm.name for arm in self.arms)]
        rows = {
            name: {row.metric: (row.value, *row.baselines.values()) for row in study.rows}
            for name, study in studies.items()
        }
        for metric in next(iter(rows.values())):
            cells = [[name, *map(format_metric, row[metric])] for name, row in rows.items()]
            yield f"## {metric[0].upper()}{metric[1:]}\n"
            yield markdown_table(columns, cells)
