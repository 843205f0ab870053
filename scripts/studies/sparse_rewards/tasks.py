"""Tasks with sparse rewards, and the runs of the study on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from latentrl.novelty import BONUSES
from scripts.studies.core import DOCS

RESULTS = DOCS / "results" / "sparse_rewards"
NO_BONUS = "none"
IMITATION = "+self_imitation"
"""End of the name of a bonus whose agents also imitate themselves."""
SHIFTED = "MiniGridShifted-{}-v0"
"""View of 84 x 84 pixels, shifted by 3, so that no cell of a latent has a tile of its own."""
ON_A_GRID = ("token_counts", "token_counts" + IMITATION, "rnd", NO_BONUS)
"""Bonuses of shifted tasks: the one that the default remains there, and controls."""
IN_3D = ("adaptive", "adaptive" + IMITATION, "rnd", NO_BONUS)
"""Bonuses of tasks in a 3D world: the default, which switches there, and controls."""
RANDOM_ENCODER = (
    *("DoorKey-8x8-shifted", "MultiRoom-N6-shifted", "KeyCorridorS3R3-shifted", "MyWayHome"),
)
"""Tasks whose first two bonuses are also run on a random encoder, as a task of its own."""
RL_ZOO = "RL Zoo's PPO, from symbols: return 0.000 after 10M"


@dataclass(frozen=True)
class Task:
    """One environment, the length of the training in it, and the goal."""

    env: str
    """Gymnasium id."""
    timesteps: int
    """Timesteps of each agent."""
    seeds: int = 5
    """Agents with each bonus."""
    algo: str = "ppo"
    """Algorithm."""
    bonuses: Sequence[str] = ("token_counts", NO_BONUS)
    """Bonuses to compare."""
    weight: float | None = None
    """Weight of the bonus; None takes the default."""
    measure: Literal["success", "return"] = "success"
    """Measure of the goal: the fraction of episodes with a reward, or the mean return."""
    goal: float = 0.9
    """Least value of the measure; 0 requires a confidence interval above 0."""
    untuned: bool = False
    """Whether encoder and agent have the defaults of any environment."""
    random_encoder: bool = False
    """Whether the encoder has fresh weights, in the network that is chosen for the frames."""
    known: str = ""
    """Published results."""


def _with_controls(tasks: dict[str, Task]) -> Iterator[tuple[str, Task]]:
    for name, task in tasks.items():
        yield name, task
        if name in RANDOM_ENCODER:
            control = replace(task, seeds=1, bonuses=task.bonuses[:2], random_encoder=True)
            yield f"{name}-random-encoder", control


_TASKS = {
    "DoorKey-8x8": Task(
        "MiniGrid-DoorKey-8x8-v0", 200_000, known="DEIR: return .91 after 123k, RE3 .49 after 2.4M"
    ),
    "MultiRoom-N4-S5": Task(
        "MiniGrid-MultiRoom-N4-S5-v0", 400_000, measure="return", goal=0.7, known=RL_ZOO
    ),
    "MultiRoom-N6": Task(
        "MiniGrid-MultiRoom-N6-v0",
        1_000_000,
        measure="return",
        goal=0.6,
        known="SB3's PPO with RND: return .316 after 2M",
    ),
    "KeyCorridorS3R3": Task(
        "MiniGrid-KeyCorridorS3R3-v0",
        800_000,
        3,
        measure="return",
        goal=0.8,
        known="SB3 with any bonus: 0 after 3M",
    ),
    "LockedRoom": Task(
        "MiniGrid-LockedRoom-v0",
        3_000_000,
        3,
        bonuses=("token_counts+counts", NO_BONUS),
        goal=0.0,
        known=RL_ZOO,
    ),
    "ObstructedMaze-2Dlh": Task(
        "MiniGrid-ObstructedMaze-2Dlh-v0", 3_000_000, 3, goal=0.0, known=RL_ZOO
    ),
    "KeyRooms": Task(
        "KeyRooms-v0",
        100_000,
        algo="dqn",
        bonuses=("position_token_counts", NO_BONUS),
        weight=0.05,
    ),
    "DoorKey-8x8-shifted": Task(
        SHIFTED.format("DoorKey-8x8"),
        250_000,
        3,
        bonuses=(*ON_A_GRID, "reconstruction", NO_BONUS + IMITATION),
        untuned=True,
    ),
    "DoorKey-8x8-shifted-430k": Task(
        SHIFTED.format("DoorKey-8x8"),
        430_000,
        5,
        bonuses=("token_counts", "token_counts" + IMITATION, "reconstruction", NO_BONUS),
        untuned=True,
    ),
    "MultiRoom-N6-shifted": Task(
        SHIFTED.format("MultiRoom-N6"), 1_000_000, 3, bonuses=ON_A_GRID, untuned=True
    ),
    "KeyCorridorS3R3-shifted": Task(
        SHIFTED.format("KeyCorridorS3R3"), 800_000, 3, bonuses=ON_A_GRID, untuned=True
    ),
    "FourRooms": Task("MiniWorld-FourRooms-v0", 980_000, 3, bonuses=IN_3D, goal=0.8, untuned=True),
    "FourRooms-memory": Task(
        "MiniWorld-FourRooms-v0",
        980_000,
        3,
        algo="recurrent_ppo",
        bonuses=IN_3D[:1],
        goal=0.8,
        untuned=True,
    ),
    "MazeS3": Task("MiniWorld-MazeS3-v0", 980_000, 3, bonuses=IN_3D, goal=0.8, untuned=True),
    "MyWayHome": Task("VizdoomMyWayHome-v1", 740_000, 3, bonuses=IN_3D, goal=0.8, untuned=True),
}
TASKS = dict(_with_controls(_TASKS))


@dataclass(frozen=True)
class Run:
    """One agent of the study."""

    task: str
    """Name in ``TASKS``."""
    bonus: str
    """Name of the bonus, or ``NO_BONUS``; with self-imitation, ``IMITATION`` follows."""
    seed: int
    """Seed of encoder, environments and agent."""

    @property
    def name(self) -> str:
        """Task, bonus and seed as a relative path."""
        return f"{self.task}/{self.bonus}-{self.seed}"

    @property
    def novelty(self) -> str | None:
        """Bonus as a training takes it."""
        name = self.bonus.removesuffix(IMITATION)
        return None if name == NO_BONUS else name

    @property
    def imitates_itself(self) -> bool:
        """Whether the agent learns from its good episodes, too."""
        return self.bonus.endswith(IMITATION)

    @property
    def result(self) -> Path:
        """The JSON file of the result; the learning curve is beside it, as CSV."""
        return RESULTS / f"{self.name}.json"


def runs(
    tasks: Sequence[str] = (), bonuses: Sequence[str] = (), seeds: int | None = None
) -> Iterator[Run]:
    """Yield the runs of these tasks, bonuses and first seeds; by default all of them.

    Raises:
        ValueError: a task or a bonus is unknown, or there are no seeds.
    """
    _check("task", tasks, list(TASKS))
    names = [*BONUSES, NO_BONUS]
    _check("bonus", bonuses, [*names, *(name + IMITATION for name in names)])
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    for name in tasks or TASKS:
        task = TASKS[name]
        for bonus in bonuses or task.bonuses:
            yield from (Run(name, bonus, seed) for seed in range(seeds or task.seeds))


def _check(kind: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
