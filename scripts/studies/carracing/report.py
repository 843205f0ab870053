"""The page of CarRacing: the recipe, its controls, and their learning curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from agents.evaluate import STATISTICS
from agents.play import Evaluation
from latentrl.types import Array
from latentrl.utils.io import read_json, write_bytes, write_text
from latentrl.viz.curves import curve, panels
from latentrl.viz.figures import CYCLE, figure_png, style
from scripts.studies.agent_runs import Axis, Record
from scripts.studies.carracing.arms import ARMS, MINUTES, RECIPE, RESULTS, SHORT, runs
from scripts.studies.carracing.decoded import IMAGE
from scripts.studies.carracing.perform import TRACKS
from scripts.studies.carracing.probe import FILE
from scripts.studies.carracing.transfer import COLOURS, KEY
from scripts.studies.carracing.transfer import TRACKS as COLOUR_TRACKS
from scripts.studies.core import DOCS
from scripts.studies.report import markdown_image, markdown_table
from scripts.studies.suite.records import Difference, bootstrap

PAGE = DOCS / "results" / "carracing.md"
PLOTS = DOCS / "images" / "carracing"
NOTES = RESULTS / "notes.txt"
"""Text by hand, which follows the verdicts."""
GOAL, LOST = 906, 500
"""Mean return to reach, and the return below which a track counts as lost."""
COLUMNS = (*STATISTICS, "lost tracks", "stochastic")
LEAST_ARMS = 4
"""Controls that a correlation over them needs, and more."""
HEAD = f"""# CarRacing

PPO on the latents of an encoder, from an empty folder: frames, encoder, agent. The recipe is

```
python scripts/pretrain_vae.py --env CarRacing-v2
python scripts/train_agent.py --latent --shaping --timesteps {ARMS[RECIPE].timesteps}
```

Each control has {MINUTES:g} minutes of one core, pretraining included; PPO's learning rate decays
over those of the training. Encoders of the recipe's network start from general-purpose weights,
except for those of "fresh weights" and "beta". Others start from fresh weights, with more frames or
gradient steps. The clock is the processor's time of the run. The first command performs the runs
without a result, the second one writes this page from the files in `docs/results/carracing`:

```
python scripts/study.py carracing
python scripts/study.py carracing --page
```
"""
EXPLANATION = f"""
Returns are extrinsic, of the deterministic policy on {TRACKS} held-out tracks of at most 1,000 env
frames; the column "stochastic" has the mean of the stochastic policy on them. Those of the recipe
are on Gymnasium's own frames and of the best checkpoint, those of the controls on the frames of the
backend `drawn` and of the last one. A track is lost below {LOST}. "Changing pixels" has
the explained variance of the pixels that change in a timestep, on held-out frames of the encoder's
own pretraining. Differences have the bootstrapped 95 % confidence interval over seeds.
"""
Found = Mapping[str, Sequence[Record]]


def write_page() -> Path:
    """Write the page and its plots; return the page.

    Raises:
        ValueError: there is no result.
    """
    found = {arm: [Record.read(r.result) for r in runs([arm]) if r.result.exists()] for arm in ARMS}
    found = {arm: records for arm, records in found.items() if records}
    if not found:
        raise ValueError(f"no results in {RESULTS}: run python scripts/study.py carracing")
    machine = next(iter(found.values()))[0].data["machine"]
    blocks = [
        HEAD,
        *verdicts(found),
        *([NOTES.read_text(encoding="utf-8")] if NOTES.exists() else []),
        *_tables(found),
        EXPLANATION,
        *_transfer(found),
        *_probe(found),
        f"Machine: {machine}.\n",
        *_images(found),
    ]
    write_text(PAGE, "\n".join(blocks))
    return PAGE


def returns_of(record: Record, policy: str = "returns") -> Array:
    """Return of each track, ``(tracks,)``, by the deterministic policy or by "stochastic"."""
    return np.array(record.data["evaluation"][policy])


def verdicts(found: Found) -> Iterator[str]:
    """Yield what the results say of the goal, and which controls do as well as the recipe."""
    if RECIPE in found:
        means = [returns_of(record).mean() for record in found[RECIPE]]
        lost = sum(int((returns_of(record) < LOST).sum()) for record in found[RECIPE])
        reached = "reaches" if np.mean(means) >= GOAL and not lost else "**misses**"
        yield (
            f"The recipe {reached} the goal of {GOAL} and of no lost track: {np.mean(means):.0f} "
            f"over {len(means)} of {len(list(runs([RECIPE])))} seeds, {lost} of "
            f"{TRACKS * len(means)} tracks lost.\n"
        )
    rivals = [arm for arm in found if arm not in (RECIPE, SHORT)]
    compared = {arm: difference(found, arm) for arm in rivals if SHORT in found}
    known = [arm for arm, found_difference in compared.items() if np.isfinite(found_difference.low)]
    if known:
        equal = [arm for arm in known if compared[arm].verdict != "ahead"]
        yield (
            f"Controls that the {SHORT} is not clearly ahead of, of those with more than one run: "
            f"{', '.join(equal) or 'none'}.\n"
        )


def difference(found: Found, arm: str) -> Difference:
    """Return the mean return of the short recipe less that of a control."""
    recipe, other = (
        np.array([returns_of(record).mean() for record in found[name]]) for name in (SHORT, arm)
    )
    return Difference(float(recipe.mean() - other.mean()), *bootstrap(recipe, other))


def _tables(found: Found) -> Iterator[str]:
    if RECIPE in found:
        yield "## The recipe\n"
        columns = ("seed", *COLUMNS, "timesteps", "env frames", "minutes of a core")
        yield markdown_table(columns, [_recipe_row(record) for record in found[RECIPE]])
    controls = [arm for arm in found if arm != RECIPE]
    if controls:
        yield "## Controls\n"
        ends = ("changing pixels", "timesteps", "recipe - arm")
        columns = ("arm", "what", "runs", *COLUMNS, *ends)
        yield markdown_table(columns, [_control_row(found, arm) for arm in controls]).rstrip()


def _statistics(records: Sequence[Record]) -> list[str]:
    returns = np.concatenate([returns_of(record) for record in records])
    evaluation = Evaluation(returns.tolist(), lengths=[])
    numbers = [f"{getattr(evaluation, name):.0f}" for name in STATISTICS]
    stochastic = np.mean([returns_of(record, "stochastic").mean() for record in records])
    return [*numbers, str(int((returns < LOST).sum())), f"{stochastic:.0f}"]


def _recipe_row(record: Record) -> list[str]:
    curve = record.curve
    return [
        str(record.data["run"]["seed"]),
        *_statistics([record]),
        f"{record.data['timesteps']:,}",
        f"{curve['env_frames'][-1]:,.0f}",
        f"{curve['seconds'][-1] / 60:.0f}",
    ]


def _control_row(found: Found, arm: str) -> list[str]:
    records = found[arm]
    kept = [(r.data["pretraining"].get("quality") or {}).get("changing") for r in records]
    known = [value for value in kept if value is not None]
    compared = difference(found, arm) if SHORT in found and arm != SHORT else None
    return [
        *(arm, ARMS[arm].what, str(len(records))),
        *_statistics(records),
        f"{np.mean(known):.2f}" if known else "",
        f"{np.mean([record.data['timesteps'] for record in records]):,.0f}",
        "" if compared is None else _difference(compared),
    ]


def _difference(given: Difference) -> str:
    if not np.isfinite(given.low):
        return f"{given.mean:.0f} (one run)"
    return f"{given.mean:.0f} ({given.low:.0f} to {given.high:.0f}) {given.verdict}"


def _transfer(found: Found) -> Iterator[str]:
    """Yield the returns of agents in colours that they were not trained on."""
    known = {arm: [r for r in records if KEY in r.data] for arm, records in found.items()}
    known = {arm: records for arm, records in known.items() if records}
    if not known:
        return
    yield "## Other colours\n"
    yield (
        f"Mean return of the deterministic policy of the last agent on {COLOUR_TRACKS} tracks. In "
        "brackets is its ratio to that in the default colours. A shift of the hue by +0.3 is one "
        "of 108 degrees for every pixel; the grey road does not change. The tracks are the same in "
        "all columns but the last: `domain_randomize=True` draws other ones. Every agent was "
        "trained on the default colours. The encoder of random hues was pretrained on all hues; "
        "that of hue invariance was trained further until its latents did not depend on the hue.\n"
    )
    rows = [[arm, _seeds(records), *_in_colours(records)] for arm, records in known.items()]
    yield markdown_table(("arm", "seeds", "default colours", *COLOURS), rows)
    if IMAGE.exists():
        yield markdown_image("Frames in five colours, and their reconstructions", IMAGE, PAGE)


def _seeds(records: Sequence[Record]) -> str:
    return ", ".join(str(record.data["run"]["seed"]) for record in records)


def _in_colours(records: Sequence[Record]) -> Iterator[str]:
    home = np.mean([returns_of(record)[:COLOUR_TRACKS].mean() for record in records])
    yield f"{home:.0f}"
    for name in COLOURS:
        mean = np.mean([np.mean(record.data[KEY][name]) for record in records])
        yield f"{mean:.0f} ({mean / home:.2f})"


def _probe(found: Found) -> Iterator[str]:
    """Yield what a linear probe reads, and how it goes with the returns over the controls."""
    scores = read_json(FILE) if FILE.exists() else {}
    known = {arm: scores[arm] for arm in found if arm in scores}
    if not known:
        return
    names = list(next(iter(known.values())))
    rows = [[arm, *(f"{scores[arm][name]:.2f}" for name in names)] for arm in known]
    yield "## What the encoders hold\n"
    same = [arm for arm in known if arm != RECIPE and not ARMS[arm].training]
    if len(same) > LEAST_ARMS:
        returns = [np.mean([returns_of(record).mean() for record in found[arm]]) for arm in same]
        columns = ([known[arm][name] for arm in same] for name in names)
        cells = (f"{np.corrcoef(column, returns)[0, 1]:.2f}" for column in columns)
        rows.append(["correlation with the return", *cells])
    last = "the last row has its correlation with the mean return over the controls"
    yield (
        "R2 of a linear probe of the simulator's state, from the stack of latents that an agent "
        "observes, on frames that the recipe's agent visits, of the encoders of the first seed"
        f"{f'; {last}' if len(rows) > len(known) else ''}.\n"
    )
    yield markdown_table(("arm", *names), rows)


def _images(found: Found) -> Iterator[str]:
    axes: tuple[tuple[Axis, str, float], ...] = (
        ("seconds", "minutes of a core", 60),
        ("env_frames", "million env frames", 1e6),
    )
    for axis, label, unit in axes:
        file = PLOTS / f"{axis}.png"
        write_bytes(file, _plot(found, axis, label, unit))
        yield markdown_image(f"Training return against {label}", file, PAGE)
    yield (
        "*Return of the last 100 training episodes, mean and range over runs; pretraining is "
        "included.*\n"
    )


def _plot(found: Found, axis: Axis, label: str, unit: float) -> bytes:
    arms = [arm for arm in found if arm != SHORT]
    with style():
        figure, axes = panels(max(1, len(arms)), 4, label, "training return")
        for panel, arm in zip(axes, arms or [SHORT], strict=True):
            alone = arm in (RECIPE, SHORT) or SHORT not in found
            names = [arm] if alone else [arm, SHORT]
            for name in names:
                x, returns = _curves(found[name], axis)
                colour = CYCLE[int(name == arm and arm not in (RECIPE, SHORT))]
                bounds = returns.min(0), returns.max(0)
                curve(panel, x / unit, returns.mean(0), *bounds, colour, name)
            panel.legend()
    return figure_png(figure)


def _curves(records: Sequence[Record], axis: Axis) -> tuple[Array, Array]:
    """Return places on an axis up to the shortest run, and the returns there, ``(runs, n)``."""
    start = max(record.curve[axis][0] for record in records)
    places = np.linspace(start, min(record.reached(axis) for record in records), 200)
    return places, np.stack([record.return_at(axis, places, np.nan) for record in records])
