"""Train an SB3 agent on the latents of a pretrained encoder, or on pixels."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import make_output_format
from stable_baselines3.common.vec_env import VecNormalize
from tqdm import tqdm

from agents.algorithms import find_algorithm
from agents.algorithms.hyperparameters import override
from agents.autosave import OrderlyLogger, SaveByClock, StopByClock, attempt, check_weights
from agents.bonuses import DEFAULT_NOVELTY, make_novelty
from agents.checkpoint import WEIGHTS, build, build_saved, read_agent, restore, save_agent
from agents.config import AgentConfig, check_trusted
from agents.describe import describe_agent, describe_hyperparameters
from agents.encoder_swap import replace_encoder, swap_encoder
from agents.familiar_frames import warn_if_unfamiliar
from agents.learning_check import LearningCheck
from agents.pretrain import newest_encoder
from agents.quality import warn_if_interrupted, warn_if_poor
from agents.refine import RefineEncoder, check_refine_at
from agents.runs import env_folder, locked, make_run, newest_run
from agents.self_imitation import SelfImitation, keeps_episodes
from agents.sparse_rewards import SparseRewards, in_words
from agents.summary import Trained, describe_run, resume_command
from agents.train_config import FLAGS_FILE, REMEDY, TRAINING_SEEDS, TrainConfig, resumed_config
from agents.validation import VALIDATION_SEED, ValidationCallback
from agents.venv import build_monitored, build_venv, remove_novelty
from envs.make import shaping_of
from latentrl import load, save
from latentrl.models.autoencoder import Autoencoder
from latentrl.novelty import NormalizedBonus
from latentrl.utils.io import read_json, write_json
from latentrl.utils.settings import check_same_settings
from latentrl.utils.signals import held_interrupts
from latentrl.viz.sb3_callbacks import (
    EnvFrameCurves,
    Hyperparameters,
    NoveltyCurves,
    NoveltyMap,
    ProgressCallback,
    ReconstructionImages,
)

__all__ = ["TrainConfig", "Trained", "describe_agent", "describe_hyperparameters", "train"]


def train(config: TrainConfig, clock: Callable[[], float] = time.monotonic) -> Trained:
    """Train an agent; Ctrl-C saves the last checkpoint, from which ``resume=True`` continues.

    Args:
        config: flags of the training.
        clock: function that returns the seconds by which ``config.minutes`` are counted.

    Raises:
        ValueError: flags contradict each other, the environment or the resumed run, or another
            process trains in the same folder.
        FileNotFoundError: there is no encoder, or nothing to resume.
        FloatingPointError: the weights became NaN or infinite; the last checkpoint is the one
            before.
    """
    plan = _Plan.resumed(config) if config.resume else _Plan.fresh(config)
    with locked(plan.path):
        run = _Run(plan, clock)
        run.restore() if config.resume else run.start()
        done = run.model.num_timesteps
        print(describe_run(plan.config, run.agent, run.encoder, run.venv, run.path, done))
        return run.learn()


@dataclass(frozen=True)
class _Plan:
    """What a run is made of, before anything is made."""

    config: TrainConfig
    agent: AgentConfig
    path: Path
    encoder: Autoencoder | None

    @classmethod
    def fresh(cls, config: TrainConfig) -> _Plan:
        """Plan a new run, in a folder that no other run gets."""
        if config.out is not None:
            _check_no_run(config.out)
        encoder = None
        if config.latent:
            source = config.vae or newest_encoder(config.env, config.key)
            config = dataclasses.replace(config, vae=source)
            encoder = load(source, config.device)
            warn_if_poor(encoder)
            warn_if_interrupted(encoder)
        agent = describe_agent(config, encoder)
        keeps_episodes(config)  # raises where the algorithm cannot learn from them
        if config.judges_rewards and agent.hyperparameters["gamma"] == 1:
            # A bonus has the scale of its discounted returns.
            config = dataclasses.replace(config, novelty=None)
        if encoder is not None:
            check_refine_at(config.refine_at, encoder, agent)
        if config.shaping:
            shaping_of(agent.environment)  # raises where there is none
        path = config.out or make_run("agents", config.env, config.run_name)
        return cls(config, agent, path, encoder)

    @classmethod
    def resumed(cls, config: TrainConfig) -> _Plan:
        """Plan to continue an interrupted run."""
        path = _run_to_resume(config)
        agent, _, notes = read_agent(path / "last")
        flags = resumed_config(config, read_json(path / FLAGS_FILE), path, _in_effect(agent))
        check_trusted(agent, path, config.trust or config.env == agent.environment.id)
        agent = _resumed_agent(agent, config, path, int(notes["timesteps"]))
        encoder = load(path / agent.encoder, config.device) if agent.latent else None
        return cls(flags, agent, path, encoder)


class _Run:
    """One training run: its folder, environments, algorithm and callbacks."""

    def __init__(self, plan: _Plan, clock: Callable[[], float]) -> None:
        self.config, self.clock = plan.config, clock
        self.agent = plan.agent
        self.path = plan.path
        self.encoder = plan.encoder
        self.total = int(self.agent.hyperparameters["timesteps"])
        self.novelty: NormalizedBonus | None = None
        self._validating: VecNormalize | None = None
        self.check = LearningCheck()
        self.venv = self._training_venv()
        seed, device = self.config.seed, self.config.device
        self.model = (
            build_saved(self.path / "last", self.agent, self.venv, seed, device)
            if self.config.resume
            else build(self.agent, self.venv, seed, device)
        )
        self.imitation = (
            SelfImitation(self.model, seed, learns=bool(self.config.self_imitation))
            if keeps_episodes(self.config)
            else None
        )
        self.validation = ValidationCallback(
            self.config.eval_every,
            self.config.eval_episodes,
            self.total,
            find_algorithm(self.agent.algo),
            self._validation_venv,
            self.save,
        )

    def start(self) -> None:
        """Write the first checkpoint of a new run."""
        _check_no_run(self.path)
        if self.encoder is not None:
            save(self.encoder, self.path / self.agent.encoder)
        self.save("last")
        write_json(self.path / FLAGS_FILE, self.config.to_json())

    def restore(self) -> None:
        """Continue from the last checkpoint."""
        episodes = None if self.imitation is None else self.imitation.episodes
        restore(self.path / "last", self.model, self.venv, novelty=self.novelty, episodes=episodes)
        self.venv.seed(_seed_after(self.config.seed, self.model.num_timesteps))
        self.validation.restore(self.path, self.model.num_timesteps)

    def _training_venv(self) -> VecNormalize:
        base = build_monitored(
            self.agent.environment,
            n_envs=self.agent.hyperparameters["n_envs"],
            seed=self.config.seed,
            backend=self.config.backend,
            shaped=self.config.shaping,
        )
        if self.config.bonus is not None and self.encoder is not None:
            self.novelty = make_novelty(
                self.config.bonus,
                self.config.novelty_weight,
                self.encoder,
                base.action_space,
                self.agent.hyperparameters["gamma"],
                self.config.seed,
            )
        return build_venv(self.agent, self.encoder, base, novelty=self.novelty)

    def _judge_rewards(self, sparse: bool, found: str) -> None:
        """Keep the bonus where rewards are sparse, and remove it elsewhere, for good."""
        bonus = DEFAULT_NOVELTY if self.novelty is None else self.novelty.bonus.name
        imitates = self._decide_imitation(sparse)
        kept = {"novelty": DEFAULT_NOVELTY} if sparse else {"novelty": None, "novelty_weight": None}
        flags = {**read_json(self.path / FLAGS_FILE), **kept, "self_imitation": imitates}
        # Before the next checkpoint: a bonus in a checkpoint that the flags do not name is ignored.
        write_json(self.path / FLAGS_FILE, flags)
        if not sparse:
            self.novelty = None
            remove_novelty(self.venv)
        timesteps = f"{self.model.num_timesteps:,} timesteps"
        verdict = in_words(sparse, imitates and not self.config.self_imitation)
        tqdm.write(f"{timesteps}: {found}, so the novelty bonus {bonus} {verdict}")

    def _decide_imitation(self, sparse: bool) -> bool:
        """Imitate by default where rewards are sparse and what the bonus counts returns."""
        if self.imitation is None or self.config.self_imitation is not None:
            return bool(self.config.self_imitation)
        imitates = sparse and self.novelty is not None and self.novelty.bonus.recurs
        self.imitation.decide(imitates)
        if not imitates:
            self.imitation = None
        return imitates

    def _validation_venv(self, episodes: int) -> VecNormalize:
        """Make environments without the bonus, so that validation compares extrinsic returns."""
        n_envs = min(episodes, self.agent.hyperparameters["n_envs"])
        base = build_monitored(
            self.agent.environment,
            n_envs=n_envs,
            seed=VALIDATION_SEED,
            backend=self.config.backend,
        )
        self._validating = build_venv(self.agent, self.encoder, base, training=False)
        return self._validating

    def _adopt(self, encoder: Autoencoder, timestep: int) -> None:
        """Continue with an encoder that was refined for ``timestep``, and save the last agent."""
        agent = self.agent.refined(timestep)
        # In a folder of its own, and first: each checkpoint names an encoder that is there.
        save(encoder, self.path / agent.encoder)
        with held_interrupts():  # of a policy on new latents with the old encoder's name
            swap_encoder(self.model, encoder)
            if self.imitation is not None:
                self.imitation.clear()
            self.encoder, self.agent = encoder, agent
            if self._validating is not None:
                replace_encoder(self._validating, encoder)
            self.save("last")
        warn_if_poor(encoder)

    def learn(self) -> Trained:
        """Train to the end, or to Ctrl-C or an error, and save either way."""
        start, done = time.perf_counter(), self.model.num_timesteps
        try:
            self._learn()
        except BaseException as error:
            saved, *_ = [attempt(step) for step in self._ending()]
            # What a library raises of NaN names neither the cause nor a remedy.
            check_weights(self.model, self.path / "last", cause=error)
            if isinstance(error, Exception) and (self.path / "last" / WEIGHTS).is_file():
                seconds = time.perf_counter() - start
                command = resume_command(self.path, self.config, seconds)
                what = "what was done is saved" if saved else "an earlier state is saved"
                tqdm.write(f"\n{what}. Continue with\n  {command}", file=sys.stderr)
            raise
        for step in self._ending():
            step()
        if not done:
            last = self.validation.last
            self.check.warn(() if last is None else last.returns)
        if self.encoder is not None and self.validation.sample is not None:
            frames = self.validation.sample.frames
            warn_if_unfamiliar(self.encoder, frames, self.agent.environment.id)
        seconds = time.perf_counter() - start
        best, last = self.validation.best, self.validation.last
        return Trained(
            self.path, self.agent, self.model.num_timesteps, best, last, seconds, resumed_at=done
        )

    def _learn(self) -> None:
        self.model.set_logger(self._logger())
        self.model.learn(
            max(0, self.total - self.model.num_timesteps),
            callback=self._callbacks(),
            reset_num_timesteps=self.model.num_timesteps == 0,
        )
        check_weights(self.model, self.path / "last")
        if self.validation.evaluated_at != self.model.num_timesteps:
            self.validation.evaluate()

    def _ending(self) -> list[Callable[[], object]]:
        """Return what follows training, however that ended; saving needs no environment."""
        return [
            lambda: self.save("last"),
            self._close_logger,
            self.venv.close,
            self.validation.close,
        ]

    def _close_logger(self) -> None:
        if hasattr(self.model, "_logger"):  # it has none if the training failed before its start
            self.model.logger.close()

    def _logger(self) -> OrderlyLogger:
        suffix = f"-{self.model.num_timesteps:09d}"  # a resumed run writes a table of its own
        formats = [
            make_output_format(kind, str(self.path), suffix) for kind in ("tensorboard", "csv")
        ]
        return OrderlyLogger(str(self.path), formats)

    def _callbacks(self) -> list[BaseCallback]:
        skip = self.agent.environment.frame_skip
        tenth, minutes = max(1, self.total // 10), self.config.minutes
        stop = None if minutes is None else StopByClock(minutes, self.clock)
        callbacks: list[BaseCallback] = [
            Hyperparameters({**self.config.to_json(), **self.agent.hyperparameters}),
            ProgressCallback(self.total, skip, None if stop is None else stop.seconds_left),
            EnvFrameCurves(skip),
            ReconstructionImages(every=tenth),
        ]
        if self.imitation is not None:
            callbacks.append(self.imitation)
        if self.novelty is not None:
            callbacks += [NoveltyCurves(self.novelty), NoveltyMap(every=tenth)]
            if self.config.judges_rewards:
                callbacks.append(SparseRewards(self._judge_rewards))
        if stop is not None:
            callbacks.append(stop)
        if refine_at := self.config.refine_at:
            done = self.agent.refined_at
            callbacks.append(RefineEncoder(refine_at, self.config.seed, self._adopt, done))
        save = SaveByClock(self.config.save_minutes, self.path / "last", self.save)
        return [*callbacks, self.check, self.validation, save]

    def save(self, checkpoint: str) -> None:
        """Save the agent as "best", or as "last" with all that a resumed run needs."""
        last, best = checkpoint == "last", self.validation.best
        save_agent(
            self.path / checkpoint,
            self.agent,
            self.model,
            self.venv,
            replay=last,
            novelty=self.novelty if last else None,
            episodes=self.imitation.episodes if last and self.imitation is not None else None,
            validation=None if last or best is None else dataclasses.asdict(best),
        )


def _check_no_run(path: Path) -> None:
    if (path / FLAGS_FILE).exists():
        raise ValueError(
            f"{path} already holds a run: add --resume to continue it, or choose another --out"
        )


def _run_to_resume(config: TrainConfig) -> Path:
    path = config.out or newest_run("agents", config.env, FLAGS_FILE, f"{config.run_name}-[0-9]*")
    if path is None or not (path / FLAGS_FILE).is_file():
        raise FileNotFoundError(
            f"nothing to resume for {config.env}: no {config.run_name} run in "
            f"{path or env_folder('agents', config.env)}; start one without --resume, or name the "
            "folder of a run with --out"
        )
    return path


def _in_effect(agent: AgentConfig) -> dict[str, Any]:
    """Return the values of flags that an agent has, given or not."""
    environment = agent.environment
    return {
        "frame_skip": environment.frame_skip,
        "key": environment.key,
        "max_episode_steps": environment.max_episode_steps,
        "stack": agent.stack,
        "n_envs": agent.hyperparameters["n_envs"],
    }


def _resumed_agent(agent: AgentConfig, config: TrainConfig, path: Path, done: int) -> AgentConfig:
    """Return the saved agent with ``done`` timesteps, to be trained for the call's timesteps.

    The saved hyperparameters hold even where the tuned defaults have changed since.
    """
    saved = agent.hyperparameters
    given = override(saved, config.hyperparams, find_algorithm(agent.algo), agent.latent)
    check_same_settings(saved, given, f"the run in {path}", REMEDY)
    timesteps = config.timesteps or saved["timesteps"]
    # Rollouts are whole: a finished run may have more timesteps than it was to have.
    if timesteps < min(done, saved["timesteps"]):
        raise ValueError(
            f"the run in {path} has {done:,} timesteps already: --timesteps is their total, got "
            f"{timesteps:,}"
        )
    return dataclasses.replace(agent, hyperparameters={**saved, "timesteps": timesteps})


def _seed_after(seed: int, timesteps: int) -> int:
    """Return a seed for a resumed run's environments, with other episodes than the first ones."""
    sequence = np.random.SeedSequence([seed, timesteps])
    return int(sequence.generate_state(1)[0]) % TRAINING_SEEDS
