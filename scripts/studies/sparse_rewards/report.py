"""What the runs on sparse rewards reached: a table, and curves with bootstrapped intervals, in
docs/novelty.md.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from latentrl.types import Array
from latentrl.utils.io import write_atomically
from scripts.studies.report import as_markdown, replace_section
from scripts.studies.sparse_rewards.sparse_rewards import NO_BONUS, RESULTS, TASKS, Task

DOCS = Path(__file__).resolve().parents[3] / "docs"
README = DOCS.parent / "README.md"
PAGE, PICTURE = DOCS / "novelty.md", DOCS / "images" / "novelty" / "curves.png"
BEGIN, END = "<!-- results: python scripts/study_sparse.py --page -->", "<!-- end of results -->"
COLUMNS = (
    *("task", "bonus", "agents", "frames", "success, deterministic", "success, stochastic"),
    *("return, deterministic", "return, stochastic", "goal", "reached"),
)
SHORT = "task", "frames", "with the bonus", "without", "others"
RESAMPLES, LEVEL = 5_000, 95
POINTS = 200
COLOURS = "#2c6e9e", "#c9772b", "#5b8c3a", "#8a5a9e"
"""Of a task's own bonuses, then of others."""
NO_BONUS_COLOUR = "#9a9a9a"
OWN = "seed", "out", "resume", "vae"
"""Flags in which agents of one task and their encoders may differ."""
BONUS = "novelty", "novelty_weight"
"""Flags in which the arms of a task differ."""
Record = dict[str, Any]


def records(task: str, arm: str) -> list[Record]:
    """Return what the runs of a task with a bonus have left, by seed."""
    files = sorted((RESULTS / task).glob(f"{arm}-*.json"))
    return [
        {**json.loads(file.read_text(encoding="utf-8")), "curve": file.with_suffix(".csv")}
        for file in files
    ]


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the bootstrapped 95 % interval of the mean over agents."""
    low, high = _bounds(np.asarray(values, float)[:, None])
    return float(low[0]), float(high[0])


def _bounds(values: Array) -> Array:
    """Return the lower and the upper bounds ``(2, T)`` of the mean of ``values (agents, T)``."""
    chosen = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    bounds: Array = np.percentile(
        values[chosen].mean(1), [(100 - LEVEL) / 2, (100 + LEVEL) / 2], axis=0
    )
    return bounds


def rows() -> Iterator[list[str]]:
    """Yield the cells of the table, for every task and bonus that has results."""
    for name, task in TASKS.items():
        arms = {arm: records(name, arm) for arm in _arms(name)}
        _check(name, arms)
        yield from (_row(name, task, arm, found) for arm, found in arms.items())


def _check(task: str, arms: Mapping[str, list[Record]]) -> None:
    """Raise ``ValueError`` unless seeds and bonuses are all that the agents of a task differ in."""
    every = [record for found in arms.values() for record in found]
    pairs: list[tuple[Record, Record, Sequence[str]]] = [
        (every[0], record, (*OWN, *BONUS)) for record in every
    ]
    pairs += [(found[0], record, OWN) for found in arms.values() for record in found]
    for one, other, free in pairs:
        if _settings(one, free) != _settings(other, free):
            names = " and ".join(record["curve"].stem for record in (one, other))
            raise ValueError(
                f"{names} of {task} differ in more than seed and bonus: delete the older results"
            )


def _settings(record: Record, free: Sequence[str]) -> dict[str, Any]:
    flags = {"training": record["training"], "pretraining": record["pretraining"]["settings"]}
    kept = {
        of: {key: value for key, value in given.items() if key not in free}
        for of, given in flags.items()
    }
    return {**kept, **{key: record[key] for key in ("agent", "encoder")}}


def summary() -> Iterator[list[str]]:
    """Yield the cells of the short table: for every task the share of episodes with a reward, in
    both modes.
    """
    for name, task in TASKS.items():
        bonus, none = (records(name, arm) for arm in (task.arms[0], NO_BONUS))
        if bonus:
            frames = _row(name, task, task.arms[0], bonus)[COLUMNS.index("frames")]
            yield [
                name,
                frames,
                f"**{_success(bonus)}**",
                _success(none) if none else "",
                task.known,
            ]


def _success(found: list[Record]) -> str:
    modes = (
        np.mean([record[mode]["success"] for record in found])
        for mode in ("deterministic", "stochastic")
    )
    return " / ".join(f"{mean:.2f}" for mean in modes) + f" ({len(found)})"


def _arms(task: str) -> list[str]:
    """Return the arms that have results: the task's own in their order, others after them, no bonus
    last.
    """
    found = {file.stem.rpartition("-")[0] for file in (RESULTS / task).glob("*.json")}
    own = [arm for arm in TASKS[task].arms if arm != NO_BONUS]
    return [arm for arm in (*own, *sorted(found - {*own, NO_BONUS}), NO_BONUS) if arm in found]


def _row(name: str, task: Task, arm: str, found: list[Record]) -> list[str]:
    frames = {record["decisions"] + record["pretraining"]["frames"] for record in found}
    cells = [name, arm, str(len(found)), " or ".join(f"{count:,}" for count in sorted(frames))]
    for measure in ("success", "return"):
        cells += [
            _mean([record[mode][measure] for record in found])
            for mode in ("deterministic", "stochastic")
        ]
    return [*cells, *_verdict(task, arm, found)]


def _mean(values: Sequence[float]) -> str:
    low, high = interval(values)
    return f"{np.mean(values):.2f} ({low:.2f} to {high:.2f})"


def _verdict(task: Task, arm: str, found: list[Record]) -> tuple[str, str]:
    if arm == NO_BONUS:
        return "", ""
    values = (
        [record[mode][task.measure] for record in found] for mode in ("deterministic", "stochastic")
    )
    reached = [
        np.mean(each) >= task.goal if task.goal else interval(each)[0] > 0 for each in values
    ]
    goal = f"{task.measure} >= {task.goal:.2f}" if task.goal else f"{task.measure} above 0"
    words = {
        (True, True): "yes",
        (False, True): "stochastic",
        (True, False): "deterministic",
        (False, False): "**no**",
    }
    return goal, words[bool(reached[0]), bool(reached[1])]


def draw() -> Path:
    """Draw the return in training against all frames, one panel a task, and return the picture's
    file.
    """
    plot = importlib.import_module("matplotlib.pyplot")
    names = [name for name in TASKS if _arms(name)]
    columns = min(3, len(names))
    height = -(-len(names) // columns)
    figure, panels = plot.subplots(
        height, columns, figsize=(3.6 * columns, 2.9 * height), squeeze=False
    )
    for panel in panels.flat[len(names) :]:
        panel.set_axis_off()
    for name, panel in zip(names, panels.flat, strict=False):
        _panel(panel, name)
    figure.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(PICTURE, lambda part: figure.savefig(part, dpi=110, format="png"))
    plot.close(figure)
    return PICTURE


def _panel(panel: Any, name: str) -> None:
    for number, arm in enumerate(_arms(name)):
        frames, returns = _curves(records(name, arm))
        colour = NO_BONUS_COLOUR if arm == NO_BONUS else COLOURS[number % len(COLOURS)]
        panel.plot(
            frames / 1e6,
            returns.mean(0),
            color=colour,
            label="no bonus" if arm == NO_BONUS else arm,
        )
        panel.fill_between(frames / 1e6, *_bounds(returns), color=colour, alpha=0.2, linewidth=0)
    panel.set(
        title=name,
        ylim=(-0.03, 1.0),
        xlabel="million frames, pretraining included",
        ylabel="return in training",
    )
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=8, loc="upper left")


def _curves(found: list[Record]) -> tuple[Array, Array]:
    """Return frames ``(POINTS,)``, and at each the mean return of the last episodes of every
    agent.
    """
    curves = []
    for record in found:
        with record["curve"].open(newline="", encoding="utf-8") as lines:
            table = [row for row in csv.DictReader(lines) if row["return"]]
        decisions, returns = (
            np.array([float(row[key]) for row in table]) for key in ("decisions", "return")
        )
        curves.append((decisions + record["pretraining"]["frames"], returns))
    begin = max(record["pretraining"]["frames"] for record in found)
    frames = np.linspace(begin, min(decisions[-1] for decisions, _ in curves), POINTS)
    return frames, np.stack(
        [np.interp(frames, decisions, returns, left=0.0) for decisions, returns in curves]
    )


def write_section() -> Path:
    """Write table and curves into the page, a short table into the README, and return the page."""
    table, short = as_markdown(COLUMNS, list(rows())), as_markdown(SHORT, list(summary()))
    known = [
        f"- {name}: {task.known}." for name, task in TASKS.items() if task.known and _arms(name)
    ]
    picture = (
        f"![Return in training, with and without a bonus]({draw().relative_to(DOCS).as_posix()})\n"
    )
    replace_section(README, BEGIN, short, END)
    return replace_section(
        PAGE, BEGIN, "\n".join([picture, table, "What others have reached there:\n", *known]), END
    )
