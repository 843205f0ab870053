"""Proximal policy optimization of a policy with memory, of sb3-contrib."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from agents.algorithms.base import ALGORITHMS, HYPERPARAMS, AlgorithmSpec
from agents.algorithms.ppo import ppo

States = tuple[Tensor, Tensor]
"""Hidden and cell states of an LSTM, ``(layers, sequences, hidden)`` each."""


@ALGORITHMS.register("recurrent_ppo")
def recurrent_ppo() -> AlgorithmSpec:
    """PPO (Schulman et al. 2017, arXiv:1707.06347) whose policy has an LSTM as memory.

    Its value function needs the state of the LSTM, too: observations alone have no value.
    """
    return replace(
        ppo(),
        source="sb3_contrib:RecurrentPPO",
        policies=("MlpLstmPolicy", "CnnLstmPolicy"),
        recurrent=True,
        hyperparams=HYPERPARAMS / "recurrent_ppo.yml",
        requirement="latentrl[contrib]",
        adapt=process_whole_sequences,
        value=None,
    )


def process_whole_sequences(model: BaseAlgorithm) -> None:
    """Let the policy's LSTMs process sequences in one call each, not timestep by timestep.

    The buffer cuts rollouts where episodes start: only the first timestep of a sequence can be a
    start. sb3-contrib takes all timesteps one by one where there is any start, which is slower.
    ``scripts/benchmark.py memory`` measures both ways.
    """
    policy: Any = model.policy
    one_by_one = policy._process_sequence

    def process(
        features: Tensor, states: States, episode_starts: Tensor, lstm: nn.LSTM
    ) -> tuple[Tensor, States]:
        sequences = states[0].shape[1]
        starts = episode_starts.reshape(sequences, -1)
        if starts[:, 1:].any():
            result: tuple[Tensor, States] = one_by_one(features, states, episode_starts, lstm)
            return result
        kept = (1 - starts[:, 0]).view(1, sequences, 1)
        inputs = features.reshape(sequences, -1, lstm.input_size).transpose(0, 1)
        outputs, after = lstm(inputs, (kept * states[0], kept * states[1]))
        return torch.flatten(outputs.transpose(0, 1), 0, 1), after

    policy._process_sequence = process
