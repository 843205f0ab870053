"""Flags of a training run, and the comparison of a resumed run's flags with the saved ones."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import tyro

from agents.algorithms import ALGORITHMS
from agents.bonuses import AUTO, DEFAULT_NOVELTY
from latentrl.novelty import BONUSES
from latentrl.utils.decoding import decode
from latentrl.utils.settings import check_same_settings, with_saved

FLAGS_FILE = "training.json"
"""File in a run's folder with the flags of its training."""
TRAINING_SEEDS = 400_000
"""Seeds below this are for training; those of validation and test are higher."""
MAY_CHANGE = (
    *("vae", "timesteps", "out", "device", "resume", "hyperparams", "save_minutes", "trust"),
    "minutes",
)
"""Flags that a resumed run may change, or that are compared elsewhere."""
AT_LEAST_ONE = (
    *("timesteps", "n_envs", "frame_skip", "max_episode_steps", "stack"),
    *("eval_every", "eval_episodes"),
)
REMEDY = "resume it with the same flags, or start a new run"


@dataclass(frozen=True)
class TrainConfig:
    """Train an SB3 agent on the latents of a pretrained encoder, or on pixels."""

    env: str = "CarRacing-v2"
    """Gymnasium id, package:Id, or module:Class or module:function of a custom environment."""
    latent: bool = True
    """Observe latents; --no-latent learns from pixels with SB3's CnnPolicy."""
    vae: Path | None = None
    """Folder of the encoder, or hf://user/name on the Hugging Face Hub; if not given, the newest
    one pretrained for the environment."""
    algo: Annotated[str, tyro.conf.arg(help=f"One of: {', '.join(ALGORITHMS)}.")] = "ppo"
    hyperparams: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME:VALUE")] = ()
    """Hyperparameters that replace the tuned defaults of agents/hyperparams, such as
    learning_rate:3e-4 n_steps:256 policy_kwargs.net_arch:[64,64]."""
    untuned: bool = False
    """Use the hyperparameters of any environment, not those that are tuned for this one."""
    timesteps: int | None = None
    """Timesteps of training in all environments together; the algorithm's default if not given."""
    minutes: float | None = None
    """Minutes after which the training ends, if it has not reached its timesteps; schedules, such
    as that of the learning rate, end with it."""
    n_envs: int | None = None
    """Environments that step together; the algorithm's default if not given."""
    frame_skip: int | None = None
    """Environment frames per timestep; the environment's default if not given."""
    max_episode_steps: int | None = None
    """Timesteps after which an episode is truncated, for environments without a limit."""
    stack: int | None = None
    """Latents (or images) in one observation of the agent; the environment's default if not
    given."""
    episodic_count: tyro.conf.DisallowNone[bool | None] = None
    """Append the episodic count of the latent to the observation; the environment's default if not
    given."""
    from_render: bool = False
    """Observe rendered images; an encoder pretrained on them implies it."""
    key: str | None = None
    """Key of a Dict observation space; an encoder pretrained on one key implies it."""
    novelty: Annotated[
        str | None,
        tyro.conf.arg(
            help=f"Novelty bonus, one of: {', '.join(BONUSES)}; {DEFAULT_NOVELTY} without a name. "
            f"{AUTO} is {DEFAULT_NOVELTY} on latents and without --shaping, and removes it unless "
            "most of the first episodes have the return 0, or reach their time limit at the usual "
            "cost per timestep; None is no bonus."
        ),
    ] = AUTO
    novelty_weight: float | None = None
    """Weight of the bonus, in units of the standard deviation of its discounted return."""
    self_imitation: tyro.conf.DisallowNone[bool | None] = None
    """Learn from past episodes that were better than usual, too, with an algorithm that learns from
    rollouts; if not given, where rewards are sparse and the bonus of auto counts tokens."""
    shaping: bool = False
    """Learn from the rewards with the shaping of the environment's family, which may end episodes
    early; returns, validations and evaluations are without it."""
    backend: str = "auto"
    """Simulator: gymnasium, drawn (Gymnasium's with faster frames), envpool, or auto: drawn or
    EnvPool where they have the environment."""
    eval_every: int = 50_000
    """Timesteps between two validations, which choose the best checkpoint."""
    eval_episodes: int = 16
    """Episodes per validation."""
    save_minutes: float = 5.0
    """Minutes between two checkpoints of the last agent, beside those of the validations."""
    refine_at: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N ...]")] = ()
    """Timesteps at which the encoder is trained further, on the newest 10,000 frames of the agent
    and frames of the pretraining."""
    out: Path | None = None
    """Folder of the run; runs/agents/ENV/ALGO-latent-N if not given."""
    seed: int = 0
    """Seed of environments, weights and exploration."""
    device: str = "auto"
    """Device of the encoder and of CnnPolicy; auto is the GPU where there is one."""
    resume: bool = False
    """Resume the interrupted run in --out, or the newest one of this environment."""
    trust: bool = False
    """Import the module that the resumed run in --out names as its environment."""
    given: tyro.conf.Suppress[tyro.conf.Fixed[tuple[str, ...]]] = ()
    """Names of the flags that the command line gives. A resumed run compares them with its own even
    where they have their default."""

    def __post_init__(self) -> None:
        """Raise ``ValueError`` for an invalid value; the message names the flag."""
        ALGORITHMS[self.algo]
        for name in AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not self.save_minutes >= 0:
            raise ValueError(f"save_minutes must be at least 0, got {self.save_minutes}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes must be above 0, got {self.minutes}")
        if not 0 <= self.seed < TRAINING_SEEDS:
            raise ValueError(
                f"seed must lie in 0..{TRAINING_SEEDS - 1}, got {self.seed}: higher seeds are for "
                "validation and test"
            )
        self._check_novelty()
        self._check_refine_at()

    def _check_novelty(self) -> None:
        if self.novelty not in (None, AUTO):
            BONUSES[self.novelty]
            if not self.latent:
                raise ValueError("novelty is computed from latents: remove --no-latent")
        elif self.novelty_weight is not None and self.bonus is None:
            raise ValueError("novelty_weight needs a bonus: add --novelty NAME")
        if self.episodic_count and not self.latent:
            raise ValueError("episodic_count counts latents: remove --no-latent")

    def _check_refine_at(self) -> None:
        if self.refine_at and not self.latent:
            raise ValueError("refine_at trains the encoder further: remove --no-latent")
        given = (0, *self.refine_at)
        if any(after <= before for before, after in itertools.pairwise(given)):
            raise ValueError(
                "refine_at takes timesteps of at least 1 in increasing order, got "
                f"{' '.join(map(str, self.refine_at))}"
            )

    @property
    def judges_rewards(self) -> bool:
        """Whether the bonus is removed where rewards are not sparse."""
        return self.novelty == AUTO and self.latent and not self.shaping

    @property
    def bonus(self) -> str | None:
        """Bonus with which the training starts."""
        if self.novelty == AUTO:
            return DEFAULT_NOVELTY if self.judges_rewards else None
        return self.novelty

    @property
    def run_name(self) -> str:
        """Name of the run's folder, without its number."""
        novelty = "" if self.novelty in (None, AUTO) else f"-{self.novelty}"
        return f"{self.algo}-{'latent' if self.latent else 'pixels'}{novelty}"

    def to_json(self) -> dict[str, Any]:
        """Return the flags as JSON holds them."""
        values = dataclasses.asdict(self)
        del values["given"]
        return {
            key: str(value) if isinstance(value, Path) else value for key, value in values.items()
        }


def resumed_config(
    config: TrainConfig,
    saved: Mapping[str, Any],
    path: Path,
    in_effect: Mapping[str, Any] = MappingProxyType({}),
) -> TrainConfig:
    """Return the saved flags of the run in ``path``, with those that ``config`` may change.

    Args:
        config: the flags of the call.
        saved: those of the run.
        path: folder of the run.
        in_effect: values that flags of the run have where they were not given.

    Raises:
        ValueError: a flag that was given differs from the saved one.
    """
    # A run of an older version lacks the flags that are new; their defaults hold.
    before: TrainConfig = decode(TrainConfig, saved, f"the flags of the run in {path}")
    known = before.to_json()
    given = with_saved(config.to_json(), known, TrainConfig().to_json(), config.given)
    for name, value in in_effect.items():
        if known[name] is None and given[name] == value:
            given[name] = None
    _check_same_encoder(config, before, path)
    # The verdict on the rewards has replaced the auto of the first call.
    if given["novelty"] == AUTO and before.novelty in (None, DEFAULT_NOVELTY):
        given["novelty"] = before.novelty
    # The weight of a bonus that the training has removed may be among the flags of the first call.
    removed = ("novelty_weight",) if before.novelty is None else ()
    ignored = (*MAY_CHANGE, *removed)
    check_same_settings(known, given, f"the run in {path}", REMEDY, ignored=ignored)
    return dataclasses.replace(
        before,
        out=path,
        device=config.device,
        save_minutes=given["save_minutes"],
        minutes=config.minutes,
        resume=True,
        trust=config.trust,
    )


def _check_same_encoder(config: TrainConfig, saved: TrainConfig, path: Path) -> None:
    if config.vae is None:
        return
    if saved.vae is None:
        raise ValueError(f"the run in {path} observes pixels: omit --vae, or start a new run")
    if Path(saved.vae).resolve() != config.vae.resolve():
        raise ValueError(
            f"the run in {path} has its own encoder, of {saved.vae}, the call has --vae "
            f"{config.vae}: omit --vae, or start a new run"
        )
