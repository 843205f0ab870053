"""The parts of one checkpoint belong together: a kill between two of them leaves the old ones."""

from __future__ import annotations

import shutil

import pytest

from agents.bonuses import make_novelty
from agents.checkpoint import WEIGHTS, build, read_agent, restore, save_agent
from agents.good_episodes import GoodEpisodes
from agents.parts import PARTS, part_file
from latentrl.utils import io
from tests.agents.small import make_venv, small_config, trained
from tests.helpers import same


@pytest.fixture
def agent(encoder):
    config = small_config("dqn", n_envs=2)
    model, venv = trained(config, encoder, 40)
    novelty = make_novelty("counts", None, encoder, venv.action_space, 0.99, 0)
    return config, model, venv, novelty


def save(folder, agent):
    config, model, venv, novelty = agent
    episodes = GoodEpisodes(venv.observation_space, venv.action_space)
    save_agent(folder, config, model, venv, replay=True, novelty=novelty, episodes=episodes)


def restored(folder, agent, encoder):
    config = agent[0]
    venv = make_venv(config, encoder)
    model = build(config, venv)
    novelty = make_novelty("counts", None, encoder, venv.action_space, 0.99, 0)
    restore(folder, model, venv, novelty=novelty)
    return model


def test_a_new_checkpoint_replaces_all_parts(agent, tmp_path):
    for _ in range(2):
        save(tmp_path, agent)
        stamp = read_agent(tmp_path)[2]["stamp"]
        names = {part_file(tmp_path, name, stamp).name for name in PARTS}
        assert {file.name for file in tmp_path.iterdir()} == {WEIGHTS, *names}


class Killed(BaseException):
    """Ends a process in the middle of a checkpoint."""


@pytest.mark.parametrize("writes", range(len(PARTS) + 2))
def test_a_kill_between_two_parts_leaves_the_checkpoint_before(
    writes, agent, encoder, tmp_path, monkeypatch
):
    save(tmp_path, agent)
    before = restored(tmp_path, agent, encoder)
    agent[1].learn(20, reset_num_timesteps=False)
    replace, done = io.Path.replace, []

    def kill(path, target):
        if len(done) == writes:
            raise Killed
        done.append(target)
        return replace(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(io.Path, "replace", kill)
        if writes <= len(PARTS):
            with pytest.raises(Killed):
                save(tmp_path, agent)
        else:
            save(tmp_path, agent)
    after = restored(tmp_path, agent, encoder)
    assert after.num_timesteps == (before if writes <= len(PARTS) else agent[1]).num_timesteps
    expected = before if writes <= len(PARTS) else agent[1]
    assert after.replay_buffer.pos == expected.replay_buffer.pos
    assert same(after.replay_buffer.rewards, expected.replay_buffer.rewards)
    assert same(after.policy.state_dict(), expected.policy.state_dict())
    save(tmp_path, agent)
    assert len(list(tmp_path.iterdir())) == 1 + len(PARTS), "the rest of the killed one is removed"


def test_parts_of_another_checkpoint_are_refused(agent, encoder, tmp_path):
    for name in ("first", "second"):
        save(tmp_path / name, agent)
    first, second = (read_agent(tmp_path / name)[2]["stamp"] for name in ("first", "second"))
    copied = part_file(tmp_path / "second", "replay", second)
    shutil.copy(part_file(tmp_path / "first", "replay", first), copied)
    with pytest.raises(ValueError, match="belongs to another checkpoint than the agent beside it"):
        restored(tmp_path / "second", agent, encoder)
    copied.unlink()
    with pytest.raises(FileNotFoundError, match="second is incomplete: it has no replay-"):
        restored(tmp_path / "second", agent, encoder)


def test_checkpoints_without_a_stamp_are_read(agent, encoder, tmp_path):
    save(tmp_path, agent)
    _, tensors, notes = read_agent(tmp_path)
    stamp = notes["stamp"]
    for name in PARTS:
        content, own = io.read_tensors(part_file(tmp_path, name, stamp), name)
        del own["stamp"]
        io.write_tensors(part_file(tmp_path, name, None), content, {name: own})
    for name in ("stamp", "parts", "validation"):
        del notes[name]
    io.write_tensors(tmp_path / WEIGHTS, tensors, {"agent": {**notes, "format": 2}})
    model = restored(tmp_path, agent, encoder)
    assert model.num_timesteps == 40
    assert same(model.replay_buffer.rewards, agent[1].replay_buffer.rewards)
