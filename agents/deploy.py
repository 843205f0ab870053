"""A saved agent that acts on single frames, as those of a robot or of a game."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.spaces import Box, Dict
from stable_baselines3.common.vec_env import VecEnv

from agents.config import AgentConfig
from agents.evaluate import (
    Checkpoint,
    agent_folder,
    config_in,
    load_encoder,
    load_for_evaluation,
    policy_of,
)
from agents.play import actor
from agents.venv import build_venv, probe
from latentrl.types import Array, Encoder, describe_space
from latentrl.wrappers.gymnasium_vecenv import counted_from_zero

Spaces = tuple[spaces.Space[Any], spaces.Space[Any]]
"""Spaces of one observation and of one action."""


def load_actor(
    run: str | Path,
    *,
    deterministic: bool | None = None,
    checkpoint: Checkpoint = "best",
    env: str | None = None,
    spaces: Spaces | None = None,
    trust: bool = False,
    device: str = "auto",
) -> Actor:
    """Load a saved agent as a function from frames to actions.

    Args:
        run: folder of a training run.
        deterministic: take the mode of the policy rather than a sample; None is the better one in
            the run's best validation.
        checkpoint: the agent of the best validation, or the last one.
        env: another environment with the same spaces; None is the one of training.
        spaces: observation and action space of the environment, which then need not be installed.
            None makes the environment once and takes its own.
        trust: whether to import the module that the agent's folder names as its environment.
        device: device of the encoder.

    Raises:
        FileNotFoundError: there is no agent.
        ValueError: its files are damaged, do not fit the spaces, or its module is neither trusted
            nor named by ``env``.
    """
    run = Path(run)
    folder = agent_folder(run, checkpoint)
    config, _ = config_in(folder, env, trust=trust or spaces is not None)
    found = probe(config.environment, "gymnasium") if spaces is None else spaces
    if isinstance(found[0], Dict) and config.environment.key is not None:
        found = (found[0][config.environment.key], found[1])
    encoder = load_encoder(run, config, device)
    deterministic = policy_of(run, deterministic) == "deterministic"
    return Actor(folder, config, encoder, found, deterministic)


class Actor:
    """An agent that acts on one frame at a time, as it does in an evaluation.

    It encodes a frame, counts the latent in its episode, stacks and normalises, as the agent needs
    it. Frames are those of the training: rendered ones of an agent that observes these, one key of
    a Dict where it observes one, and one frame for each ``frame_skip`` frames of the simulator.
    """

    def __init__(
        self,
        folder: Path,
        config: AgentConfig,
        encoder: Encoder | None,
        spaces: Spaces,
        deterministic: bool,
    ) -> None:
        """Load the agent in ``folder``.

        Args:
            folder: folder of the checkpoint.
            config: the agent.
            encoder: its encoder; None where it learns from pixels.
            spaces: observation and action space of the environment.
            deterministic: take the mode of the policy rather than a sample.

        Raises:
            ValueError: the files are damaged or do not fit the spaces.
        """
        self.config = config
        """The agent, with its environment."""
        self.observation_space, self.action_space = spaces
        actions, self._first_action = counted_from_zero(self.action_space)
        self._frames = _Frames(self.observation_space, actions)
        self._venv = build_venv(config, encoder, self._frames, training=False)
        self._act = actor(load_for_evaluation(config, self._venv, folder), deterministic)
        self._starts = True

    def reset(self) -> None:
        """Start an episode: the next frame is its first one."""
        self._starts = True

    def __call__(self, frame: Array | Mapping[str, Array]) -> Any:
        """Return the action for the newest frame of the episode.

        Args:
            frame: observation ``(*observation_shape)`` in the units of the environment, or the
                Dict observation that has it.

        Raises:
            ValueError: it is no observation of the environment.
        """
        self._frames.newest = self._checked(frame)[None]
        if self._starts:
            observations: Any = self._venv.reset()
        else:
            observations = self._venv.step(np.zeros(1))[0]
        action = self._act(observations, np.array([self._starts]))[0]
        self._starts = False
        return action if self._first_action is None else action + self._first_action

    def _checked(self, observation: Array | Mapping[str, Array]) -> Array:
        key = self.config.environment.key
        if key is not None and isinstance(observation, Mapping):
            observation = observation.get(key, observation)
        space, frame = self.observation_space, np.asarray(observation)
        assert isinstance(space, Box)  # the encoder takes no other one
        if frame.shape != space.shape or not np.can_cast(frame.dtype, space.dtype, "same_kind"):
            raise ValueError(
                f"the agent acts on one frame {describe_space(space)}, got {frame.shape} "
                f"{frame.dtype}"
            )
        return frame.astype(space.dtype)


class _Frames(VecEnv):
    """One environment whose observations are the frames that it is given."""

    def __init__(
        self, observation_space: spaces.Space[Any], action_space: spaces.Space[Any]
    ) -> None:
        self.newest: Array = np.empty(0)
        super().__init__(1, observation_space, action_space)

    def reset(self) -> Array:
        return self.newest

    def step_async(self, actions: Array) -> None:
        pass

    def step_wait(self) -> Any:
        return self.newest, np.zeros(1, np.float32), np.zeros(1, bool), [{}]

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name, None)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *_: Any, indices: Any = None, **__: Any) -> list[Any]:
        raise AttributeError(f"frames have no method {method_name}")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False]
