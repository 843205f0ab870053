"""The agent that the flags of a training run describe."""

from __future__ import annotations

from typing import Any

import yaml
from gymnasium import spaces

from agents.algorithms import check_actions, check_new_actions, find_algorithm
from agents.algorithms.hyperparameters import (
    check_episodic_training,
    override,
    read_defaults,
    with_n_envs,
)
from agents.config import AgentConfig
from agents.pixel_range import used_range
from agents.train_config import TrainConfig
from agents.venv import images_of, probe
from envs import Environment, defaults_for
from latentrl import Preprocessing
from latentrl.models.autoencoder import Autoencoder

PIXEL_SIZE = (64, 64)


def describe_hyperparameters(agent: AgentConfig) -> str:
    """Return an agent's hyperparameters as YAML, under a line that names the agent."""
    nested = any(isinstance(value, dict | list) for value in agent.hyperparameters.values())
    # None writes what holds no mapping or list on one line, and that would be all of it.
    style = None if nested else False
    values = yaml.safe_dump(
        dict(agent.hyperparameters), sort_keys=False, default_flow_style=style, width=94
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
    check_new_actions(action_space, environment.id)
    hyperparameters = _hyperparameters(config, action_space)
    check_episodic_training(hyperparameters)
    defaults = defaults_for(config.env)
    if not config.latent:
        space = images_of(observation_space)
        greyscale = space.shape[-1:] == (3,)
        pixels = Preprocessing(size=PIXEL_SIZE, greyscale=greyscale)
        return AgentConfig(
            environment,
            config.algo,
            config.stack or defaults.stack,
            hyperparameters,
            pixels,
            pixel_range=used_range(environment, config.backend, space, pixels),
            scaled_actions=True,
        )
    count = config.episodic_count
    normalizes = hyperparameters.get("normalize_latents", not _has_scale(encoder))
    return AgentConfig(
        environment,
        config.algo,
        config.stack or defaults.stack,
        hyperparameters | {"normalize_latents": normalizes},
        episodic_count=defaults.episodic_count if count is None else count,
        scaled_actions=True,
    )


def _has_scale(encoder: Autoencoder | None) -> bool:
    """Return whether latents have a scale of their own, and so are not standardised by default.

    A vector of a trained VAE is in units of its prior, and dimensions that carry nothing vary
    little: standardising would give them unit variance. In a grid, an object that is rarely in a
    cell adds little variance to it: without standardisation the background would dominate.
    """
    if encoder is None or not encoder.fitted:
        return False
    return encoder.variational and encoder.latent_layout.grid is None


def _hyperparameters(config: TrainConfig, action_space: spaces.Space[Any]) -> dict[str, Any]:
    spec = find_algorithm(config.algo)
    env_id = "" if config.untuned else config.env
    defaults = read_defaults(spec, env_id, config.latent, action_space)
    if config.n_envs is not None:
        defaults = with_n_envs(defaults, config.n_envs)
    if config.timesteps is not None:
        defaults = {**defaults, "timesteps": config.timesteps}
    return override(defaults, config.hyperparams, spec, config.latent)


def _environment(config: TrainConfig, encoder: Autoencoder | None) -> Environment:
    """Return the environment: flags win over those of pretraining, and these over defaults."""
    defaults = defaults_for(config.env)
    pretrained = {} if encoder is None else encoder.metadata.get("data", {}).get("environment", {})
    rendered = PIXEL_SIZE[0] if config.from_render else None
    continuous = find_algorithm(config.algo).takes_continuous_actions
    return Environment(
        config.env,
        frame_skip=config.frame_skip or pretrained.get("frame_skip", defaults.frame_skip),
        discrete=defaults.has_discrete_variant and not continuous,
        render_size=pretrained.get("render_size") or rendered,
        key=config.key or pretrained.get("key"),
        max_episode_steps=config.max_episode_steps or pretrained.get("max_episode_steps"),
    )
