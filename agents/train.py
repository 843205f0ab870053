"""Train an SB3 agent on the latents of a pretrained encoder, or on pixels."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, make_output_format
from stable_baselines3.common.vec_env import VecNormalize

from agents.algorithms import check_actions, find_algorithm
from agents.algorithms.hyperparameters import override, read_defaults
from agents.bonuses import make_novelty, restore_novelty, save_novelty
from agents.checkpoint import build, read_agent, restore, save_agent
from agents.config import AgentConfig
from agents.evaluate import Evaluation
from agents.pretrain import newest_encoder
from agents.runs import env_folder, new_run, newest_run
from agents.train_config import REMEDY, TRAINING_SEEDS, TrainConfig, resumed_config
from agents.validation import VALIDATION_SEED, ValidationCallback
from agents.venv import build_monitored, build_venv, probe
from envs import Environment, defaults_for
from latentrl import Preprocessing, load, save
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import NormalizedBonus
from latentrl.utils.io import read_json, write_json
from latentrl.utils.settings import check_same_settings
from latentrl.viz.sb3_callbacks import (
    EnvFrameCurves,
    Hyperparameters,
    NoveltyCurves,
    NoveltyMap,
    ProgressCallback,
    ReconstructionImages,
)

__all__ = ["TrainConfig", "Trained", "describe_agent", "train"]

PIXEL_SIZE = (64, 64)
FLAGS_FILE = "training.json"


@dataclass(frozen=True)
class Trained:
    """Result of a training run."""

    path: Path
    """Folder of the run, with the agents in ``best`` and ``last``."""
    config: AgentConfig
    """The agent that was trained."""
    timesteps: int
    """Timesteps of training in all environments together."""
    best: Evaluation | None
    """Validation of the best checkpoint; None before the first one."""


def train(config: TrainConfig) -> Trained:
    """Train an agent; Ctrl-C saves the last checkpoint, from which ``resume=True`` continues.

    Raises:
        ValueError: flags contradict each other, the environment or the resumed run.
        FileNotFoundError: there is no encoder, or nothing to resume.
    """
    run = _Run.resumed(config) if config.resume else _Run.fresh(config)
    print(describe_hyperparameters(run.agent))
    return run.learn()


def describe_hyperparameters(agent: AgentConfig) -> str:
    """Return an agent's hyperparameters as YAML, under a line that names the agent."""
    values = yaml.safe_dump(
        dict(agent.hyperparameters), sort_keys=False, default_flow_style=None, width=100
    )
    indented = "".join(f"  {line}\n" for line in values.splitlines())
    return f"{agent.algo} in {agent.environment.id}, hyperparameters:\n{indented}"


def describe_agent(config: TrainConfig, encoder: Autoencoder | None) -> AgentConfig:
    """Return the agent that the flags describe, with tuned defaults for everything else.

    Raises:
        ValueError: a hyperparameter is unknown, or the algorithm cannot take the environment's
            actions.
    """
    environment = _environment(config, encoder)
    observation_space, action_space = probe(environment, config.backend)
    check_actions(config.algo, action_space, environment.id)
    hyperparameters = _hyperparameters(config, action_space)
    defaults = defaults_for(config.env)
    if not config.latent:
        greyscale = (observation_space.shape or ())[-1:] == (3,)
        pixels = Preprocessing(size=PIXEL_SIZE, greyscale=greyscale)
        stack = config.stack or defaults.pixel_stack
        return AgentConfig(environment, config.algo, stack, hyperparameters, pixels)
    count = config.episodic_count
    return AgentConfig(
        environment,
        config.algo,
        config.stack or defaults.stack,
        hyperparameters,
        episodic_count=defaults.episodic_count if count is None else count,
    )


def _hyperparameters(config: TrainConfig, action_space: spaces.Space[Any]) -> dict[str, Any]:
    spec = find_algorithm(config.algo)
    # Defaults are adapted before flags replace them: a flag that contradicts the actions is the
    # user's mistake and an error of the algorithm.
    defaults = spec.adapt(read_defaults(spec, config.env, config.latent), action_space)
    flags = {"timesteps": config.timesteps, "n_envs": config.n_envs}
    given = {name: value for name, value in flags.items() if value is not None}
    return {**override(defaults, config.hyperparams, spec, config.latent), **given}


def _environment(config: TrainConfig, encoder: Autoencoder | None) -> Environment:
    """Return the environment: flags win over those of pretraining, and these over defaults."""
    defaults = defaults_for(config.env)
    pretrained = {} if encoder is None else encoder.metadata.get("data", {}).get("environment", {})
    skip = defaults.frame_skip if config.latent else defaults.pixel_frame_skip
    rendered = PIXEL_SIZE[0] if config.from_render else None
    continuous = find_algorithm(config.algo).takes_continuous_actions
    return Environment(
        config.env,
        frame_skip=config.frame_skip or pretrained.get("frame_skip", skip),
        discrete=defaults.has_discrete_variant and not continuous,
        render_size=pretrained.get("render_size") or rendered,
        key=pretrained.get("key") or config.key,
    )


class _Run:
    """One training run: its folder, environments, algorithm and callbacks."""

    def __init__(
        self, config: TrainConfig, agent: AgentConfig, path: Path, encoder: Autoencoder | None
    ) -> None:
        self.config = config
        self.agent = agent
        self.path = path
        self.encoder = encoder
        self.total = int(agent.hyperparameters["timesteps"])
        self.novelty: NormalizedBonus | None = None
        self.venv = self._training_venv()
        self.model = build(agent, self.venv, config.seed, config.device)
        self.validation = ValidationCallback(
            path, config.eval_every, config.eval_episodes, self._validation_venv, self.save
        )

    @classmethod
    def fresh(cls, config: TrainConfig) -> _Run:
        """Start a new run."""
        encoder = (
            load(config.vae or newest_encoder(config.env), config.device) if config.latent else None
        )
        agent = describe_agent(config, encoder)
        path = config.out or new_run("agents", config.env, config.run_name)
        if (path / FLAGS_FILE).exists():
            raise ValueError(
                f"{path} already holds a run: add --resume to continue it, or choose another --out"
            )
        run = cls(config, agent, path, encoder)
        if encoder is not None:
            save(encoder, path / "encoder")
        run.save("last")
        write_json(path / FLAGS_FILE, config.to_json())
        return run

    @classmethod
    def resumed(cls, config: TrainConfig) -> _Run:
        """Continue an interrupted run from its last checkpoint."""
        path = _run_to_resume(config)
        agent, _, _ = read_agent(path / "last")
        saved = read_json(path / FLAGS_FILE)
        flags = resumed_config(config, saved, path)
        agent = _resumed_agent(agent, config, path)
        encoder = load(path / "encoder", config.device) if agent.latent else None
        run = cls(flags, agent, path, encoder)
        restore(path / "last", run.model, run.venv)
        if run.novelty is not None:
            restore_novelty(path / "last", run.novelty)
        run.venv.seed(_seed_after(flags.seed, run.model.num_timesteps))
        run.validation.restore(run.model.num_timesteps)
        return run

    def _training_venv(self) -> VecNormalize:
        base = build_monitored(
            self.agent.environment,
            n_envs=self.agent.hyperparameters["n_envs"],
            seed=self.config.seed,
            backend=self.config.backend,
        )
        if self.config.novelty is not None and self.encoder is not None:
            self.novelty = make_novelty(
                self.config.novelty,
                self.config.novelty_weight,
                self.encoder,
                base.action_space,
                self.agent.hyperparameters["gamma"],
                self.config.seed,
            )
        return build_venv(self.agent, self.encoder, base, novelty=self.novelty)

    def _validation_venv(self) -> VecNormalize:
        """Make environments without the bonus, so that validation compares extrinsic returns."""
        n_envs = min(self.config.eval_episodes, self.agent.hyperparameters["n_envs"])
        base = build_monitored(
            self.agent.environment,
            n_envs=n_envs,
            seed=VALIDATION_SEED,
            backend=self.config.backend,
        )
        return build_venv(self.agent, self.encoder, base, training=False)

    def learn(self) -> Trained:
        """Train to the end, or to Ctrl-C, and save either way."""
        self.model.set_logger(self._logger())
        try:
            self.model.learn(
                max(0, self.total - self.model.num_timesteps),
                callback=self._callbacks(),
                reset_num_timesteps=self.model.num_timesteps == 0,
            )
            if self.validation.evaluated_at != self.model.num_timesteps:
                self.validation.evaluate()
        finally:
            self.model.logger.close()
            self.save("last")
            self.venv.close()
            self.validation.close()
        return Trained(self.path, self.agent, self.model.num_timesteps, self.validation.best)

    def _logger(self) -> Logger:
        suffix = f"-{self.model.num_timesteps:09d}"  # a resumed run writes a table of its own
        formats = [
            make_output_format(kind, str(self.path), suffix) for kind in ("tensorboard", "csv")
        ]
        return Logger(str(self.path), formats)

    def _callbacks(self) -> list[BaseCallback]:
        skip = self.agent.environment.frame_skip
        tenth = max(1, self.total // 10)
        callbacks: list[BaseCallback] = [
            Hyperparameters({**self.config.to_json(), **self.agent.hyperparameters}),
            ProgressCallback(self.total, skip),
            EnvFrameCurves(skip),
            ReconstructionImages(every=tenth),
        ]
        if self.novelty is not None:
            callbacks += [NoveltyCurves(self.novelty), NoveltyMap(every=tenth)]
        return [*callbacks, self.validation]

    def save(self, checkpoint: str) -> None:
        """Save the agent as "best", or as "last" with all that a resumed run needs."""
        last = checkpoint == "last"
        save_agent(self.path / checkpoint, self.agent, self.model, self.venv, replay=last)
        if last and self.novelty is not None:
            save_novelty(self.path / checkpoint, self.novelty)


def _run_to_resume(config: TrainConfig) -> Path:
    path = config.out or newest_run("agents", config.env, FLAGS_FILE, f"{config.run_name}-[0-9]*")
    if path is None or not (path / FLAGS_FILE).exists():
        raise FileNotFoundError(
            f"nothing to resume for {config.env}: no {config.run_name} run in "
            f"{path or env_folder('agents', config.env)}"
        )
    return path


def _resumed_agent(agent: AgentConfig, config: TrainConfig, path: Path) -> AgentConfig:
    """Return the saved agent, to be trained for the call's timesteps.

    The saved hyperparameters hold even where the tuned defaults have changed since.
    """
    saved = agent.hyperparameters
    given = override(saved, config.hyperparams, find_algorithm(agent.algo), agent.latent)
    check_same_settings(saved, given, f"the run in {path}", REMEDY)
    timesteps = config.timesteps or saved["timesteps"]
    return dataclasses.replace(agent, hyperparameters={**saved, "timesteps": timesteps})


def _seed_after(seed: int, timesteps: int) -> int:
    """Return a seed for a resumed run's environments, with other episodes than the first ones."""
    sequence = np.random.SeedSequence([seed, timesteps])
    return int(sequence.generate_state(1)[0]) % TRAINING_SEEDS
