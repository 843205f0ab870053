"""Train an agent in an encoder's codes, or from pixels: the second half of the main job."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.vec_env import VecNormalize

from agents.algorithms.base import defaults, for_codes
from agents.bonuses import make_novelty, restore_novelty, save_novelty
from agents.checkpoint import build, read_agent, restore, save_agent
from agents.config import AgentConfig
from agents.evaluate import Evaluation, play
from agents.pretrain import newest_encoder
from agents.runs import env_folder, new_run, newest_run
from agents.venv import build_monitored, build_venv
from envs import Environment, make_env, defaults_for
from latentrl import Preprocessing, load, save
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import BONUSES, NormalizedBonus
from latentrl.utils.io import read_json, write_json
from latentrl.viz.sb3_callbacks import (
    EnvFrameCurves,
    Hyperparameters,
    LatentPictures,
    NoveltyCurves,
    NoveltyMap,
    ProgressCallback,
)

PIXEL_SIZE = (64, 64)
TRAINING_SEEDS = 400_000
"""Seeds below this are for training."""
MAY_CHANGE = ("vae", "timesteps", "out", "device", "resume")
"""Flags that a resumed run takes anew, or has kept a copy of."""
VALIDATION_SEED = 500_000
"""First seed of the episodes that choose the best checkpoint: neither training's nor
evaluation's."""


@dataclass(frozen=True)
class TrainConfig:
    """Train a PPO or DQN agent, in the codes of a pretrained encoder or from pixels."""

    env: str = "CarRacing-v2"
    """Gymnasium id, or module:Class of a custom environment."""
    latent: bool = True
    """See codes; --no-latent learns from pixels with SB3's CnnPolicy."""
    vae: Path | None = None
    """Folder of the encoder; the newest one pretrained for the environment where not given."""
    algo: Literal["ppo", "dqn"] = "ppo"
    """Algorithm."""
    timesteps: int | None = None
    """Agent decisions in all; the algorithm's own default."""
    n_envs: int | None = None
    """Environments that step together; the algorithm's own default."""
    frame_skip: int | None = None
    """Environment frames for each decision; the environment's own default."""
    stack: int | None = None
    """Codes (or images) that the agent sees at once; the environment's own default."""
    visits: bool | None = None
    """See how often the episode has had the code, a memory of one number; the environment's own
    default."""
    from_render: bool = False
    """See rendered images; an encoder that was pretrained on them says so itself."""
    key: str | None = None
    """Which observation of a Dict space to see; an encoder that was pretrained on one says so
    itself."""
    novelty: str | None = None
    """Bonus for new states: counts, elliptical, icm, parts, parts_counts, places, reconstruction
    (without a name), rnd or simhash."""
    novelty_weight: float | None = None
    """Of the bonus in the reward, in units of its own returns."""
    backend: str = "auto"
    """auto (EnvPool where it has the environment), envpool or gymnasium."""
    eval_every: int = 50_000
    """Decisions between two evaluations, which choose the best checkpoint."""
    eval_episodes: int = 16
    """Episodes in each of them."""
    out: Path | None = None
    """Folder of the run; runs/agents/ENV/ALGO-latent-N where not given."""
    seed: int = 0
    """Seed of environments, weights and exploration."""
    device: str = "auto"
    """Of the encoder and of CnnPolicy; auto is the GPU where there is one."""
    resume: bool = False
    """Continue the interrupted run in --out, or the newest one of this environment."""

    def __post_init__(self) -> None:
        """Refuse numbers without a meaning, by the field's name."""
        for name in ("timesteps", "n_envs", "frame_skip", "stack", "eval_every", "eval_episodes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.novelty is not None:
            BONUSES[self.novelty]
        if self.visits and not self.latent:
            raise ValueError("visits are counted of codes: leave --no-latent out")
        if self.novelty is not None and not self.latent:
            raise ValueError("novelty is made from codes: leave --no-latent out")
        if self.novelty is None and self.novelty_weight is not None:
            raise ValueError("novelty_weight is for a novelty: name one")
        if not 0 <= self.seed < TRAINING_SEEDS:
            raise ValueError(
                f"seed must lie in 0..{TRAINING_SEEDS - 1}, got {self.seed}: others are for evaluation"
            )


@dataclass(frozen=True)
class Trained:
    """What a training run made."""

    path: Path
    """Its folder, with the agents in ``best`` and ``last``."""
    config: AgentConfig
    """What was trained."""
    decisions: int
    """Decisions taken in training."""
    best: Evaluation | None
    """The evaluation of the best checkpoint, on the selection episodes; None before the first."""


def train(config: TrainConfig) -> Trained:
    """Run the whole of it; Ctrl-C saves the last state and passes on, ``resume=True`` goes on from
    there.

    Raises:
        ValueError: settings contradict each other or the environment.
        FileNotFoundError: there is no encoder, or nothing to resume.
    """
    if config.resume:
        return _Run.resumed(config).learn()
    return _Run.fresh(config).learn()


def describe_agent(config: TrainConfig, encoder: Autoencoder | None) -> AgentConfig:
    """Return the agent that the flags describe, with everything else at its default.

    Raises:
        ValueError: the algorithm cannot take the environment's actions.
    """
    settings = defaults_for(config.env)
    pretrained = {} if encoder is None else encoder.metadata.get("data", {}).get("environment", {})
    own_skip = (
        pretrained.get("frame_skip", settings.frame_skip)
        if config.latent
        else settings.pixel_frame_skip
    )
    environment = Environment(
        config.env,
        frame_skip=config.frame_skip or own_skip,
        discrete=config.algo == "dqn" and settings.has_discrete_variant,
        render_size=pretrained.get("render_size")
        or (PIXEL_SIZE[0] if config.from_render else None),
        key=pretrained.get("key") or config.key,
    )
    observation_space = _probe(config.algo, environment)
    hyperparameters = dict(defaults(config.env, config.algo, config.latent))
    for name in ("timesteps", "n_envs"):
        hyperparameters[name] = getattr(config, name) or hyperparameters[name]
    stack = config.stack or (settings.stack if config.latent else settings.pixel_stack)
    pixels = (
        None
        if config.latent
        else Preprocessing(size=PIXEL_SIZE, greyscale=(observation_space.shape or ())[-1:] == (3,))
    )
    visits = config.latent and (settings.episodic_count if config.visits is None else config.visits)
    return AgentConfig(
        environment, config.algo, stack, for_codes(hyperparameters, encoder, stack), pixels, visits
    )


def _probe(algo: str, environment: Environment) -> spaces.Space[Any]:
    env = make_env(environment)
    env.close()
    if algo == "dqn" and not isinstance(env.action_space, spaces.Discrete):
        raise ValueError(
            f"dqn needs discrete actions, and {environment.id} has {env.action_space}; use --algo ppo"
        )
    return env.observation_space


class _Run:
    """One training run: its folder, environments, algorithm and callbacks."""

    def __init__(
        self, config: TrainConfig, agent: AgentConfig, path: Path, encoder: Autoencoder | None
    ) -> None:
        self.config, self.agent, self.path, self.encoder = config, agent, path, encoder
        self.total = int(agent.settings["timesteps"])
        self.novelty: NormalizedBonus | None = None
        self.venv = self._venv(agent.settings["n_envs"], config.seed, training=True)
        self.model = build(agent, self.venv, config.seed, config.device)
        self.selection = Selection(self)

    @classmethod
    def fresh(cls, config: TrainConfig) -> _Run:
        """Begin a new run."""
        encoder = (
            load(config.vae or newest_encoder(config.env), config.device) if config.latent else None
        )
        agent = describe_agent(config, encoder)
        path = config.out or new_run("agents", config.env, _name(config))
        if (path / "training.json").exists():
            raise ValueError(
                f"{path} already holds a run: add --resume to continue it, or choose another --out"
            )
        run = cls(config, agent, path, encoder)
        if encoder is not None:
            save(encoder, path / "encoder")
        run.save_last()
        write_json(path / "training.json", _as_json(config))
        return run

    @classmethod
    def resumed(cls, config: TrainConfig) -> _Run:
        """Pick up an interrupted run where its last checkpoint is."""
        path = config.out or newest_run(
            "agents", config.env, "training.json", f"{_name(config)}-[0-9]*"
        )
        if path is None or not (path / "training.json").exists():
            raise FileNotFoundError(
                f"nothing to resume for {config.env}: no {_name(config)} run in "
                f"{path or env_folder('agents', config.env)}"
            )
        saved = read_json(path / "training.json")
        _check_same(config, saved)
        begun = TrainConfig(**{**saved, "vae": None, "out": path, "device": config.device})
        agent, _, _ = read_agent(path / "last")
        if config.timesteps:
            agent = dataclasses.replace(
                agent, settings={**agent.settings, "timesteps": config.timesteps}
            )
        encoder = load(path / "encoder", config.device) if agent.latent else None
        run = cls(begun, agent, path, encoder)
        restore(path / "last", run.model, run.venv)
        if run.novelty is not None:
            restore_novelty(path / "last", run.novelty)
        run.venv.seed(_seed_after(begun.seed, run.model.num_timesteps))
        run.selection.restore()
        return run

    def _venv(self, n_envs: int, seed: int, training: bool) -> VecNormalize:
        base = build_monitored(
            self.agent.environment, n_envs=n_envs, seed=seed, backend=self.config.backend
        )
        novelty = (
            self._novelty(base.action_space) if training else None
        )  # evaluation never sees the bonus
        return build_venv(self.agent, self.encoder, base, training, novelty)

    def _novelty(self, action_space: spaces.Space[Any]) -> NormalizedBonus | None:
        config = self.config
        if config.novelty is None or self.encoder is None:
            return None
        gamma = self.agent.settings["gamma"]
        self.novelty = make_novelty(
            config.novelty, config.novelty_weight, self.encoder, action_space, gamma, config.seed
        )
        return self.novelty

    def learn(self) -> Trained:
        """Train to the end, or to Ctrl-C, and save either way."""
        self.model.set_logger(self._logger())
        try:
            self.model.learn(
                max(0, self.total - self.model.num_timesteps),
                callback=self._callbacks(),
                reset_num_timesteps=self.model.num_timesteps == 0,
            )
            if self.selection.evaluated_at != self.model.num_timesteps:
                self.selection.evaluate()
        finally:
            self.model.logger.close()
            self.save_last()
            self.venv.close()
            self.selection.close()
        return Trained(self.path, self.agent, self.model.num_timesteps, self.selection.best)

    def _logger(self) -> Logger:
        suffix = f"-{self.model.num_timesteps:09d}"  # a resumed run writes a table of its own
        formats = [
            make_output_format(kind, str(self.path), suffix) for kind in ("tensorboard", "csv")
        ]
        return Logger(str(self.path), formats)

    def _callbacks(self) -> list[BaseCallback]:
        skip, tenth = self.agent.environment.frame_skip, max(1, self.total // 10)
        return [
            Hyperparameters(_as_json(self.config)),
            ProgressCallback(self.total, skip),
            EnvFrameCurves(skip),
            LatentPictures(every=tenth),
            *(
                []
                if self.novelty is None
                else [NoveltyCurves(self.novelty), NoveltyMap(every=tenth)]
            ),
            self.selection,
        ]

    def save_last(self) -> None:
        """Write the checkpoint to resume from."""
        save_agent(self.path / "last", self.agent, self.model, self.venv, replay=True)
        if self.novelty is not None:
            save_novelty(self.path / "last", self.novelty)


class Selection(BaseCallback):
    """Evaluates now and then, keeps the best checkpoint, and saves the last one."""

    def __init__(self, run: _Run) -> None:
        """Evaluate the agent of ``run`` in its folder."""
        super().__init__()
        self.run = run
        self.best: Evaluation | None = None
        self.evaluated_at = -1
        self._venv: VecNormalize | None = None
        self._next = run.config.eval_every

    def restore(self) -> None:
        """Remember what an earlier part of the run found best."""
        file = self.run.path / "selection.json"
        if file.exists():
            self.best = Evaluation(**read_json(file))
        self._next = self.run.model.num_timesteps + self.run.config.eval_every

    def _on_step(self) -> bool:
        if self.num_timesteps >= self._next:
            self._next += self.run.config.eval_every
            self.evaluate()
            self.run.save_last()
        return True

    def evaluate(self) -> None:
        """Play the selection episodes; a mean as good as any before makes the agent ``best``: of
        equals, the newest.
        """
        run, self.evaluated_at = self.run, self.run.model.num_timesteps
        if self._venv is None:
            n_envs = min(run.config.eval_episodes, run.agent.settings["n_envs"])
            self._venv = run._venv(n_envs, VALIDATION_SEED, training=False)
        self._venv.seed(VALIDATION_SEED)  # the same episodes every time
        if run.venv.norm_obs:
            self._venv.obs_rms = run.venv.obs_rms
        result = play(
            self._venv,
            lambda seen: run.model.predict(seen, deterministic=True)[0],
            run.config.eval_episodes,
        )
        run.model.logger.record("eval/mean_return", result.mean)
        run.model.logger.record("eval/std_return", result.std)
        run.model.logger.dump(run.model.num_timesteps)
        if self.best is None or result.mean >= self.best.mean:
            self.best = result
            save_agent(run.path / "best", run.agent, run.model, run.venv)
            write_json(run.path / "selection.json", dataclasses.asdict(result))

    def close(self) -> None:
        """Close the environments."""
        if self._venv is not None:
            self._venv.close()


def _seed_after(seed: int, decisions: int) -> int:
    """Return a seed for the environments of a resumed run, so that it meets other episodes than
    before.
    """
    return int(np.random.SeedSequence([seed, decisions]).generate_state(1)[0]) % TRAINING_SEEDS


def _check_same(config: TrainConfig, saved: Mapping[str, Any]) -> None:
    """Refuse flags that a resumed run would not heed."""
    asked, usual = _as_json(config), _as_json(TrainConfig())
    for name, value in asked.items():
        if name not in MAY_CHANGE and value not in (usual[name], saved[name]):
            raise ValueError(
                f"the run was begun with {name}={saved[name]}, and goes on with it: {value} is refused"
            )


def _name(config: TrainConfig) -> str:
    novelty = "" if config.novelty is None else f"-{config.novelty}"
    return f"{config.algo}-{'latent' if config.latent else 'pixels'}{novelty}"


def _as_json(config: TrainConfig) -> dict[str, Any]:
    values = dataclasses.asdict(config)
    return {key: str(value) if isinstance(value, Path) else value for key, value in values.items()}
