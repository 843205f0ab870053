"""Environments wrapped inside worker processes answer, on every start method."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from gymnasium.vector import AsyncVectorEnv
from stable_baselines3.common.vec_env import SubprocVecEnv

import latentrl as lrl
from latentrl.utils.workers import in_workers
from tests.helpers import Clock

N = 2
METHODS = [
    "fork",
    pytest.param("forkserver", marks=pytest.mark.slow),
    pytest.param("spawn", marks=pytest.mark.slow),
]


@pytest.fixture(autouse=True)
def threads_of_the_parent():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.rand(300, 300) @ torch.rand(300, 300)
    torch.rand(1_000_000).exp()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def encoder(tmp_path):
    return lrl.save(lrl.beta_vae((64, 64, 3), latent_dim=4), tmp_path)


def wrapped(encoder, novelty=False):
    return lrl.wrap(Clock(side=64), encoder, novelty=lrl.RND(4) if novelty else None)


def makers(encoder):
    return [functools.partial(wrapped, encoder)] * N


@pytest.mark.parametrize("method", METHODS)
def test_gymnasiums_workers_answer(method, encoder):
    envs = AsyncVectorEnv(makers(encoder), context=method)
    try:
        envs.reset_async(seed=0)
        latents, _ = envs.reset_wait(timeout=60)
        envs.step_async(np.zeros(N, int))
        envs.step_wait(timeout=60)
        envs.close()
    finally:
        envs.close(terminate=True)
    assert latents.shape == (N, 4)


@pytest.mark.parametrize("method", METHODS)
def test_sb3s_workers_answer(method, encoder):
    venv = SubprocVecEnv(makers(encoder), start_method=method)
    try:
        for remote in venv.remotes:
            remote.send(("reset", (0, None)))
        assert all(remote.poll(60) for remote in venv.remotes)
        assert [remote.recv()[0].shape for remote in venv.remotes] == [(4,)] * N
    finally:
        for process in venv.processes:
            process.kill()


def test_our_workers_answer_and_use_an_encoder_of_the_parent():
    model = lrl.beta_vae((64, 64, 3), latent_dim=4)
    first = lrl.wrap(Clock(side=64), model)
    first.reset(seed=0)
    envs = in_workers([lambda: lrl.wrap(Clock(side=64), model)] * N, timeout=60)
    latents, _ = envs.reset(seed=0)
    envs.close()
    np.testing.assert_allclose(latents[0], first.transform.last_latents[0], atol=1e-5)


def test_a_worker_computes_on_one_thread(encoder):
    envs = in_workers([functools.partial(Threads, encoder)] * N)
    assert envs.call("threads") == (1, 1)
    envs.close()
    assert torch.get_num_threads() == 2


class Threads(Clock):
    """A clock that counts the threads of torch in its process."""

    def __init__(self, encoder):
        super().__init__(side=64)
        lrl.wrap(Clock(side=64), encoder)

    def threads(self):
        return torch.get_num_threads()
