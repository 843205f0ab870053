"""Comparison of agents on one environment of a user, as the suite compares them on twelve."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium import spaces

from agents.runs import env_folder
from envs import Environment, make_vector
from latentrl.models.preprocessing import is_image
from latentrl.novelty import BONUSES
from latentrl.types import describe_space
from latentrl.utils.io import write_text
from scripts.studies.agent_runs import Record
from scripts.studies.core import STUDIES, Subject
from scripts.studies.report import markdown_table
from scripts.studies.suite.curves import curve_images
from scripts.studies.suite.records import changing, check_minutes, difference
from scripts.studies.suite.subject import perform_missing
from scripts.studies.suite.tables import (
    Found,
    best_return,
    difference_cell,
    evaluated,
    mean,
    number,
)
from scripts.studies.suite.tasks import (
    ARMS,
    LATENTS,
    NO_BONUS,
    PIXELS,
    RANDOM_ACTIONS,
    RANDOM_ENCODER,
    WITH_BONUS,
    Run,
    check_known,
)

CONTROLS = (PIXELS, RANDOM_ENCODER, RANDOM_ACTIONS)
"""Arms beside latents by default."""
LONG = 0.5
"""Fraction of a run above which its pretraining is called long."""
HEADS = (
    *("agent", "return", "of each run", "timesteps"),
    *("latents less this, equal time", "equal env frames"),
)
HEAD = """# Agents on {env}

PPO on the latents of a pretrained encoder, beside agents that differ from it in one thing. Each run
had {minutes} minutes of one core, in which latents are pretrained, too. Everything else has its
default. Machine: {machine}.

"""
FOOT = """
Return: mean over the runs of held-out episodes of the last agent, of the better one of the
deterministic and the stochastic policy. Differences: mean return of the last 100 training episodes,
at the last time, or the last env frame, that both agents have reached, with the bootstrapped 95 %
confidence interval over runs, which is too narrow for so few.
"""


@dataclass(frozen=True)
class OwnRun(Run):
    """One agent of a comparison."""

    out: Path
    """Folder of the comparison."""

    @property
    def result(self) -> Path:
        """The JSON file of the result; the learning curve is beside it, as CSV."""
        return self.out / f"{self.arm}-{self.seed}.json"

    @property
    def folder(self) -> Path:
        """Folder of the encoder, the agent and the log."""
        return self.out / "runs" / f"{self.arm}-{self.seed}"


@STUDIES.register("compare")
@dataclass(frozen=True, kw_only=True)
class Compare(Subject):
    """Agents on latents, on pixels and on random latents, on an environment of yours.

    Every run has one core and the same minutes, pretraining included. Runs that have a result are
    not repeated; one that was interrupted begins again.
    """

    page: bool = False
    """Write the page from the results that exist, and run nothing."""
    env: str
    """Gymnasium id; --plugin MODULE imports the module that registers it."""
    arm: tuple[str, ...] = CONTROLS
    """Agents beside latents: pixels, random_encoder, random_actions, and general, no_stack, refined
    and contrast, which change one default of latents."""
    bonus: tuple[str, ...] = ()
    """Novelty bonuses to compare with the default on the same encoders; none is no bonus."""
    seeds: int = 2
    """Runs of each agent; random actions have one."""
    minutes: float = 8.0
    """Time of a core for each run, pretraining included and evaluation not."""
    jobs: int = os.cpu_count() or 1
    """Parallel runs, one core each."""
    out: Path | None = None
    """Folder of the results. Default: runs/compare/ENV."""

    @property
    def folder(self) -> Path:
        """Folder of the results; absolute, because a run works in a folder of its own."""
        return (self.out or env_folder("compare", self.env)).absolute()

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms, latents first."""
        bonuses = (f"{WITH_BONUS}{bonus}" for bonus in self.bonus)
        return tuple(dict.fromkeys((LATENTS, *self.arm, *bonuses)))

    def runs(self) -> Iterator[OwnRun]:
        """Yield the runs, the first seed of all arms first.

        Raises:
            ValueError: an arm or a bonus is unknown, or there are no seeds.
        """
        check_known("arm", self.arm, ARMS)
        check_known("bonus", self.bonus, (*BONUSES, NO_BONUS))
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}")
        for seed in range(self.seeds):
            for arm in self.arms:
                if arm != RANDOM_ACTIONS or seed == 0:
                    yield OwnRun(self.env, arm, seed, self.folder)

    def run(self) -> None:
        """Perform the runs without a result, write the page and print its table."""
        planned = list(self.runs())
        self._check()
        perform_missing(planned, self.minutes, self.jobs)
        page = self.write_page()
        print("\n" + "\n".join(self._summary(self._found())) + f"\n\npage: {page}")

    def _check(self) -> None:
        """Raise ``ValueError`` for what would end the comparison after minutes of work."""
        envs = make_vector(Environment(self.env), 1)
        space = envs.single_observation_space
        envs.close()
        if not (isinstance(space, spaces.Box) and is_image(space)):
            raise ValueError(
                f"a comparison needs images, the observations of {self.env} are "
                f"{describe_space(space)}: register a wrapped environment whose observations are "
                "images"
            )
        for record in self._agents(self._found()):
            if record.data["minutes"] != self.minutes:
                raise ValueError(
                    f"{self.folder} has runs of {record.data['minutes']:g} minutes, not "
                    f"{self.minutes:g}: choose another --out, or the same --minutes"
                )

    def write_page(self) -> Path:
        """Write the page and its plots from the results that exist, and return the page.

        Raises:
            ValueError: there is no result, or results of different minutes.
        """
        found = self._found()
        records = self._agents(found)
        if not records:
            raise ValueError(f"no results in {self.folder}: run this command without --page")
        check_minutes(records)
        page = self.folder / "comparison.md"
        machines = "; ".join(dict.fromkeys(record.data["machine"] for record in records))
        minutes = f"{records[0].data['minutes']:g}"
        agents = [arm for arm in self.arms if arm != RANDOM_ACTIONS]
        blocks = [
            HEAD.format(env=self.env, minutes=minutes, machine=machines),
            *(f"- {line}\n" for line in self._summary(found)),
            "\n",
            markdown_table(HEADS, [self._row(arm, found) for arm in self.arms if found[arm]]),
            FOOT + "\n",
            *(f"{line}\n" for line in curve_images({self.env: found}, agents, self.folder, page)),
            f"```\n{shlex.join(['python', *sys.argv])}\n```\n",
        ]
        write_text(page, "".join(blocks))
        return page

    def _found(self) -> dict[str, list[Record]]:
        found: dict[str, list[Record]] = {arm: [] for arm in (*self.arms, RANDOM_ACTIONS)}
        for run in self.runs():
            if run.result.exists():
                found[run.arm].append(Record.read(run.result))
        return found

    def _agents(self, found: Found) -> list[Record]:
        return [record for arm in self.arms if arm != RANDOM_ACTIONS for record in found[arm]]

    def _row(self, arm: str, found: Found) -> list[str]:
        records = found[arm]
        each = " / ".join(number(best_return(record)) for record in records)
        timesteps = mean([record.data.get("timesteps") for record in records])
        others = ["", ""]
        if arm not in (LATENTS, RANDOM_ACTIONS):
            others = [
                difference_cell(difference(found, LATENTS, arm, "seconds")),
                difference_cell(difference(found, LATENTS, arm, "env_frames")),
            ]
        counted = "" if timesteps is None else f"{timesteps:,.0f}"
        return [arm.replace("_", " "), evaluated(records), each, counted, *others]

    def _summary(self, found: Found) -> Iterator[str]:
        """Yield what the comparison shows, in words."""
        for arm in self.arms:
            compared = arm not in (LATENTS, RANDOM_ACTIONS)
            given = difference(found, LATENTS, arm, "seconds") if compared else None
            if given is not None:
                verdicts = {"ahead": "are ahead of", "behind": "are behind"}
                words = verdicts.get(given.verdict, "show no clear difference from")
                name = arm.replace("_", " ")
                cell = difference_cell(given).removesuffix(f" {given.verdict}")
                yield f"at equal time, latents {words} {name}: {cell}"
        pretraining = [record.data["pretraining"] for record in found[LATENTS]]
        if pretraining:
            seconds, frames = (
                float(np.mean([each[name] for each in pretraining]))
                for name in ("seconds", "frames")
            )
            yield f"pretraining took {seconds:.0f} s of each run, on {frames:,.0f} frames"
            if seconds > LONG * 60 * self.minutes:
                yield "latents had little time left to learn: compare with more --minutes"
        kept = mean([changing(record) for record in found[LATENTS]])
        if kept is not None:
            yield f"explained variance of changing pixels of the encoder: {number(kept)}"
