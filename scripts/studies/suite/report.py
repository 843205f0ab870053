"""The page of the suite: goals, a table, curves, and what the encoders lose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from latentrl.utils.io import write_text
from scripts.studies.agent_runs import Axis, Record
from scripts.studies.core import DOCS
from scripts.studies.report import markdown_table
from scripts.studies.suite.curves import curve_images
from scripts.studies.suite.records import (
    Difference,
    changing,
    check_minutes,
    difference,
    random_return,
    records,
)
from scripts.studies.suite.tables import Found, difference_cell, evaluated, mean, number
from scripts.studies.suite.tasks import (
    ABLATIONS,
    ENVS,
    LATENTS,
    PIXELS,
    RANDOM_ACTIONS,
    RANDOM_ENCODER,
    RESULTS,
    SEEDS,
)

PAGE = DOCS / "results" / "suite.md"
PLOTS = DOCS / "images" / "suite"
NOTES = RESULTS / "notes.txt"
"""Text by hand, which follows the goals: why one is missed."""
AGENTS = (LATENTS, PIXELS, RANDOM_ENCODER)
LEAST_CHANGING = 0.6
RETURNS = ("environment", "latents", "pixels", "random encoder", "random actions", "runs")
DIFFERENCES = (
    *("environment", "latents - pixels, equal time", "equal env frames"),
    *("latents - random encoder, equal time", "equal env frames"),
)
ENCODERS = (
    *("environment", "changing pixels", "all pixels", "lost detail", "pretraining, s"),
    *("frames", "latents, timesteps/s", "pixels, timesteps/s"),
)
NAMES = {LATENTS: "latents", PIXELS: "pixels", RANDOM_ENCODER: "the random encoder"}
HEAD = """# Suite

PPO on the latents of a pretrained encoder, on pixels, and on the latents of a random encoder: the
same network and mean image, with fresh weights and no pretraining. Latents are standardised.
Agents on pixels have SB3's `CnnPolicy` on 64 x 64 grey images and RL Baselines3 Zoo's
hyperparameters for Atari, but for continuous actions. One set of defaults serves all environments;
frame skip and stack are the same for all agents of an environment. Each run has {minutes} minutes
of one core, in which latents are pretrained, too: on the default number of frames, or on fewer
where the simulator takes more than a tenth of the time for them. The clock is the processor's time
of the run and its simulator, so that other work on the machine takes nothing from it. Validations
are off.

The first command performs the runs without a result, the second one writes this page from the files
in `docs/results/suite`:

```
python scripts/study.py suite
python scripts/study.py suite --page
```
"""
EXPLANATION = """
Returns: mean over the runs of 20 held-out episodes of the last agent, of at most 1,000 timesteps,
of the better one of the deterministic and the stochastic policy. Runs: finished ones of latents,
pixels and random encoder.
"""
CURVES = """Mean return of the last 100 training episodes, where both arms have come to, with the
bootstrapped 95 % confidence interval over runs, which is too narrow for so few. An arm is ahead
where the interval is above 0.
"""


def write_page() -> Path:
    """Write the page and its plots; return the page.

    Raises:
        ValueError: there is no result, or results of different minutes.
    """
    found = {env: records(env) for env in ENVS}
    found = {env: arms for env, arms in found.items() if any(arms[arm] for arm in AGENTS)}
    if not found:
        raise ValueError(f"no results in {RESULTS}: run python scripts/study.py suite")
    agents = [run for arms in found.values() for arm in AGENTS for run in arms[arm]]
    check_minutes(agents)
    machines = dict.fromkeys(run.data["machine"] for run in agents)
    blocks = [
        HEAD.format(minutes=f"{agents[0].data['minutes']:g}"),
        f"Machine: {'; '.join(machines)}.\n",
        "## Goals\n",
        markdown_table(("goal", "reached on", "met"), list(goals(found))),
        *([NOTES.read_text(encoding="utf-8")] if NOTES.exists() else []),
        "## Returns\n",
        markdown_table(RETURNS, [_row(env, arms) for env, arms in found.items()]).rstrip(),
        EXPLANATION,
        *_bonuses(found),
        "## Differences in training\n",
        CURVES,
        markdown_table(DIFFERENCES, [_differences(env, arms) for env, arms in found.items()]),
        *curve_images(found, AGENTS, PLOTS, PAGE),
        *_ablations(found),
        "## What the encoders keep, and speed\n",
        "Explained variance of changing and of all pixels, lost fraction of the worst detail.\n",
        markdown_table(ENCODERS, [_encoder_row(env, arms) for env, arms in found.items()]),
    ]
    write_text(PAGE, "\n".join(blocks))
    return PAGE


def goals(found: Mapping[str, Found]) -> Iterator[list[str]]:
    """Yield goal, result and verdict; a verdict needs all twelve environments."""
    pixels, random = (
        [difference(arms, LATENTS, other, "seconds") for arms in found.values()]
        for other in (PIXELS, RANDOM_ENCODER)
    )
    kept = [mean([changing(record) for record in arms[LATENTS]]) for arms in found.values()]
    least = sum(value is not None and value >= LEAST_CHANGING for value in kept)
    complete = all(len(arms[arm]) == SEEDS[arm] for arms in found.values() for arm in AGENTS)
    complete = complete and len(found) == len(ENVS)
    for goal, count, known, met in (
        ("ahead of pixels on at least 10", _count(pixels, "ahead"), pixels, 10),
        ("behind pixels on none", _count(pixels, "behind"), pixels, 0),
        ("ahead of the random encoder on at least 8", _count(random, "ahead"), random, 8),
        (f"explained variance of changing pixels at least {LEAST_CHANGING}", least, kept, 12),
    ):
        reached = count <= met if met == 0 else count >= met
        number = sum(each is not None for each in known)
        verdict = ("yes" if reached else "**no**") if complete else "not all runs are finished"
        yield [goal, f"{count} of {number}", verdict]


def _bonuses(found: Mapping[str, Found]) -> Iterator[str]:
    """Yield a paragraph on the runs that kept the novelty bonus of the default."""
    texts = []
    for env, arms in found.items():
        counts = {arm: sum(r.data.get("novelty", False) for r in arms[arm]) for arm in AGENTS}
        parts = [f"{n} of {len(arms[arm])} on {NAMES[arm]}" for arm, n in counts.items() if n]
        texts += [f"{env} ({', '.join(parts)})"] if parts else []
    if texts:
        yield (
            "Agents on latents, trained or random, start with a [novelty bonus]"
            "(../guide/novelty.md#by-default), which is removed where rewards are not sparse. "
            "Pixels have none. These runs kept it: "
            f"{'; '.join(texts)}.\n"
        )


def _count(differences: Sequence[Difference | None], verdict: str) -> int:
    return sum(each is not None and each.verdict == verdict for each in differences)


def _row(env: str, found: Found) -> list[str]:
    runs = " / ".join(f"{len(found[arm])} of {SEEDS[arm]}" for arm in AGENTS)
    random = number(random_return(found)) if found[RANDOM_ACTIONS] else ""
    return [env, *(evaluated(found[arm]) for arm in AGENTS), random, runs]


def _differences(env: str, found: Found) -> list[str]:
    axes: tuple[Axis, ...] = ("seconds", "env_frames")
    pairs = [(other, axis) for other in (PIXELS, RANDOM_ENCODER) for axis in axes]
    return [env, *(difference_cell(difference(found, LATENTS, *pair)) for pair in pairs)]


def _encoder_row(env: str, found: Found) -> list[str]:
    qualities = [record.data["pretraining"].get("quality") or {} for record in found[LATENTS]]
    kept = [
        number(mean([quality.get(name) for quality in qualities]))
        for name in ("changing", "explained", "lost_detail")
    ]
    pretraining = [record.data["pretraining"] for record in found[LATENTS]]
    seconds = mean([each["seconds"] for each in pretraining])
    frames = mean([each["frames"] for each in pretraining])
    rates = [_rate(found[arm]) for arm in (LATENTS, PIXELS)]
    numbers = (("" if x is None else f"{x:,.0f}") for x in (seconds, frames, *rates))
    return [env, *kept, *numbers]


def _ablations(found: Mapping[str, Found]) -> Iterator[str]:
    """Yield the section of the ablations, of the environments with a result."""
    heads = ("environment", *(f"latents - {arm}" for arm in ABLATIONS))
    at_the_end = _ablation_rows(found, "seconds")
    if at_the_end:
        yield "## With one default changed\n"
        yield (
            "Return of latents less that without pretraining (the general-purpose weights from "
            "which the encoder starts, as they are), less that of the same encoder with a stack of "
            "1, less that with `--refine-at 50000`, and less that with `--option "
            "contrast_weight=30`, at equal time; compared with the latents of the same seeds.\n"
        )
        yield markdown_table(heads, at_the_end)
        yield (
            "The same of the mean return from the start to equal env frames: early learning "
            "counts, and the speed of the machine does not.\n"
        )
        yield markdown_table(heads, _ablation_rows(found, "env_frames", whole=True))


def _ablation_rows(found: Mapping[str, Found], axis: Axis, whole: bool = False) -> list[list[str]]:
    rows = []
    for env, arms in found.items():
        compared = [difference(_same(arms, arm), LATENTS, arm, axis, whole) for arm in ABLATIONS]
        if any(compared):
            rows.append([env, *map(difference_cell, compared)])
    return rows


def _same(found: Found, arm: str) -> Found:
    """Return the runs of latents and of an arm that have the same seeds."""
    seeds = {record.data["run"]["seed"] for record in found[arm]}
    latents = [record for record in found[LATENTS] if record.data["run"]["seed"] in seeds]
    return {**found, LATENTS: latents}


def _rate(found: Sequence[Record]) -> float | None:
    return mean([r.data["timesteps"] / (60 * r.data["training_minutes"]) for r in found])
