"""The page of the study: learning curves, a table, and a short table for the README."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from latentrl.utils.io import write_bytes, write_text
from latentrl.viz.curves import curve, panels
from latentrl.viz.figures import BASELINE, CYCLE, Axes, figure_png, style
from scripts.studies.core import DOCS
from scripts.studies.report import markdown_image, markdown_table, replace_section
from scripts.studies.sparse_rewards.records import (
    MODES,
    Record,
    bonuses_with_results,
    bounds,
    check_comparable,
    curves,
    env_frames,
    interval,
    records,
)
from scripts.studies.sparse_rewards.tasks import IMITATION, NO_BONUS, TASKS, Task

README = DOCS.parent / "README.md"
PAGE = DOCS / "results" / "sparse_rewards.md"
PLOT = DOCS / "images" / "sparse_rewards" / "returns.png"
BEGIN = "<!-- sparse_rewards: python scripts/study.py sparse_rewards --page -->"
END = "<!-- end of sparse_rewards -->"
COLUMNS = (
    *("task", "bonus", "agents", "frames", "success, deterministic", "success, stochastic"),
    *("return, deterministic", "return, stochastic", "goal", "reached"),
)
SHORT = "task", "frames", "bonus", "with it", "without", "others"
X_LABEL = "million env frames, pretraining included"
VERDICTS = {
    (True, True): "yes",
    (False, True): "stochastic",
    (True, False): "deterministic",
    (False, False): "**no**",
}
HEAD = """# Sparse rewards

PPO and DQN with and without a novelty bonus, from the RGB pixels of a partial view, on tasks whose
only reward comes at the end. An encoder is pretrained on frames of random actions and stays frozen.

The first command trains and evaluates the agents that have no result, the second one writes this
page from the files in `docs/results/sparse_rewards/`:

```
python scripts/study.py sparse_rewards
python scripts/study.py sparse_rewards --page
```
"""
EXPLANATION = """
Means over agents of 200 episodes each, with the bootstrapped 95 % confidence interval of the mean.
Success is the fraction of episodes with a reward. A deterministic policy takes its most probable
action, a stochastic one samples. Levels are held out, except those of KeyRooms, whose four layouts
occur in training. Frames are env frames, those of the pretraining included. The evaluated
checkpoint is the last one. Agents of a task differ in seed and bonus only, which the command
checks. One agent alone has no interval.

Frames of a task whose name has `-shifted` are enlarged to 84 x 84 and shifted by 3 pixels, so
that no cell of a latent has a tile of its own. Encoder and agent have the defaults of any
environment there, and those of MiniGrid or KeyRooms in the other tasks. Agents with
`+self_imitation` also learn from their good episodes (`--self-imitation`), as by default where the
bonus stays and counts tokens; it was not measured on the other tasks. On DoorKey-8x8-shifted
without it, which agents find the goal in time is a matter of luck: equal seeds end otherwise on
another machine. With it all agents do, in some episodes only if they sample. The agents
with it on KeyCorridor are from another machine than those without. DoorKey-8x8-shifted was
also trained for 430,000 timesteps, in which the learning rate decays more slowly: there the agent
of seed 0, one of five, lost the rare reward for the bonus. `adaptive` is the default bonus; on
MyWayHome it becomes `temporal_distance`. No bonus is needed there: one agent without it does as
well and learns as fast, and one with `rnd` faster. FourRooms has one agent each, with the bonus and
without: both learn, neither reaches the goal, and one pair does not show whether the bonus helps.
FourRooms-memory has PPO with a memory (`--algo recurrent_ppo`) and all other settings of FourRooms:
one of its two agents reaches the goal, and the other one misses it in both modes. No bonus and a
random encoder are not measured there.
"""


def rows() -> Iterator[list[str]]:
    """Yield the cells of the table, for every task and bonus that has results."""
    for name, task in TASKS.items():
        by_bonus = {bonus: records(name, bonus) for bonus in bonuses_with_results(name)}
        check_comparable(name, by_bonus)
        yield from (_row(name, task, bonus, found) for bonus, found in by_bonus.items())


def _row(name: str, task: Task, bonus: str, found: Sequence[Record]) -> list[str]:
    cells = [name, bonus, str(len(found)), _frames(found)]
    for measure in ("success", "return"):
        cells += [_mean([record[mode][measure] for record in found]) for mode in MODES]
    return [*cells, *verdict(task, bonus, found)]


def _frames(found: Sequence[Record]) -> str:
    frames = [env_frames(record, record["timesteps"]) for record in found]
    return " to ".join(f"{count:,}" for count in sorted({min(frames), max(frames)}))


def _mean(values: Sequence[float]) -> str:
    low, high = interval(values)
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({low:.2f} to {high:.2f})"


def verdict(task: Task, bonus: str, found: Sequence[Record]) -> tuple[str, str]:
    """Return the goal of a task, and the modes in which agents with a bonus reach it."""
    if bonus.removesuffix(IMITATION) == NO_BONUS:
        return "", ""
    deterministic, stochastic = (
        _reached(task, [record[mode][task.measure] for record in found]) for mode in MODES
    )
    goal = f">= {task.goal:.2f}" if task.goal else "above 0"
    return f"{task.measure} {goal}", VERDICTS[deterministic, stochastic]


def _reached(task: Task, values: Sequence[float]) -> bool:
    # A mean above 0 can be the luck of one agent, so that goal 0 is about the whole interval.
    return bool(np.mean(values) >= task.goal) if task.goal else interval(values)[0] > 0


def summary() -> Iterator[list[str]]:
    """Yield the cells of the short table: success in both modes, with and without the bonus."""
    for name, task in TASKS.items():
        none = records(name, NO_BONUS)
        for bonus in (task.bonuses[0], task.bonuses[0] + IMITATION):
            if found := records(name, bonus):
                without = _success(none) if none else ""
                yield [name, _frames(found), bonus, f"**{_success(found)}**", without, task.known]


def _success(found: Sequence[Record]) -> str:
    means = (np.mean([record[mode]["success"] for record in found]) for mode in MODES)
    return " / ".join(f"{mean:.2f}" for mean in means) + f" ({len(found)})"


def plot() -> Path:
    """Plot the training return against env frames, one panel per task; return the file."""
    names = [name for name in TASKS if bonuses_with_results(name)]
    with style():
        figure, axes = panels(len(names), 3, X_LABEL, "training return")
        for panel, name in zip(axes, names, strict=True):
            _panel(panel, name)
    write_bytes(PLOT, figure_png(figure))
    return PLOT


def _panel(panel: Axes, name: str) -> None:
    for number, bonus in enumerate(bonuses_with_results(name)):
        frames, returns = curves(records(name, bonus))
        none = bonus == NO_BONUS
        colour, label = (BASELINE, "no bonus") if none else (CYCLE[number], bonus)
        curve(panel, frames / 1e6, returns.mean(0), *bounds(returns), colour, label)
    # A tenth of the panel for each line of the legend, above the curves.
    top = 1.04 / (1 - 0.1 * len(bonuses_with_results(name)))
    panel.set(title=name, ylim=(-0.03, top), yticks=np.linspace(0, 1, 6))
    panel.legend(loc="upper left", borderaxespad=0.2)


def write_page() -> Path:
    """Write the page and its plot, and the short table of the README; return the page."""
    table = markdown_table(COLUMNS, list(rows()))  # first, since it checks the results
    image = markdown_image("Training return, with and without a bonus", plot(), PAGE)
    caption = (
        "*Return of recent training episodes, mean and 95 % confidence interval over agents.*\n"
    )
    known = "\n".join(
        f"- {name}: {task.known}."
        for name, task in TASKS.items()
        if task.known and bonuses_with_results(name)
    )
    blocks = [HEAD, image, caption, table.rstrip(), EXPLANATION, "Published results:\n", known, ""]
    write_text(PAGE, "\n".join(blocks))
    replace_section(README, BEGIN, markdown_table(SHORT, list(summary())), END)
    return PAGE
