"""The measures of bonuses, by bonuses whose answer is known; every recipe is judged."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
import pytest
from gymnasium import spaces
from scipy.stats import spearmanr
from stable_baselines3.common.vec_env import VecEnv

import agents.algorithms.base
import latentrl as lrl
import scripts.studies.novelty.bonus_diagnostics as honesty
import scripts.studies.novelty.diagnostics_data as honesty_data
from agents.bonuses import RECIPES
from envs.key_rooms import ACTIONS, AGENT, CELLS, COLUMNS, GOAL, PIXELS, SCREEN, KeyRooms
from latentrl.novelty import Bonus
from scripts.studies.novelty.bonus_diagnostics import (
    GOALS,
    LOST,
    Extent,
    Goal,
    _figures,
    compared,
    endured,
)
from scripts.studies.novelty.diagnostics_data import (
    BATCH,
    DOOR_KEY,
    NOISE,
    SWITCH,
    TAUGHT,
    NoisyFrames,
    Steps,
    encoder,
    rooms,
    trained_score,
    watch,
    with_noise,
)
from tests.helpers import FakeEncoder

# Models that saw so few frames may well not use their code.
pytestmark = pytest.mark.filterwarnings("ignore:the latents have collapsed")

WIDE = 3 * BATCH


class Toy(Bonus):
    """Pays what a function of the frames and of how often each code was seen says."""

    def __init__(self, pay):
        self.pay, self.seen, self.calls = pay, {}, []

    def score(self, observations, latents):
        self.calls.append("score")
        visits = np.array([self.seen.get(code.tobytes(), 0) + 1.0 for code in latents])
        return np.broadcast_to(np.float32(self.pay(observations, visits)), (len(latents),))

    def update(self, observations, latents):
        self.calls.append("update")
        for code in latents:
            self.seen[code.tobytes()] = self.seen.get(code.tobytes(), 0) + 1

    def act(self, actions):
        self.calls.append("act")

    def begin(self, observations, latents, rows):
        self.calls.append("begin")


def png_size(frames, visits=None):
    return np.array([len(cv2.imencode(".png", frame)[1]) for frame in frames])


def bright(frames, visits=None):
    return frames.mean((1, 2, 3))


@pytest.fixture(scope="module")
def steps():
    """Frames of noise, more of it in each row; their numbers are their codes."""
    rng = np.random.default_rng(0)
    frames = np.zeros((WIDE, 16, 16, 3), np.uint8)
    for i, frame in enumerate(rng.permutation(WIDE)):
        frames[i].flat[: 4 * frame] = rng.integers(256, size=4 * frame)
    codes = np.arange(2 * WIDE, dtype=np.float32).reshape(2, WIDE, 1)
    return Steps(frames[::-1], codes[0], np.zeros(WIDE, int), frames, codes[1])


# Decay


@pytest.mark.parametrize(
    ("pay", "ratio"),
    [
        (lambda frames, visits: 5 / np.sqrt(visits), 1),
        (lambda frames, visits: 1 / visits, 1),
        (lambda frames, visits: visits**-0.25, 100**0.25),
        (lambda frames, visits: 1, 10),
        (lambda frames, visits: 0, np.inf),
        (lambda frames, visits: visits, 10),
        (lambda frames, visits: (visits > 3) / np.sqrt(visits), 2),
    ],
    ids=["root", "faster", "slower", "never", "nothing", "rising", "withheld"],
)
def test_decay(pay, ratio, steps):
    assert honesty.decay(Toy(pay), steps, 100) == pytest.approx(ratio, rel=1e-5)


def test_decay_is_of_the_first_states(steps):
    first = {frame.tobytes() for frame in steps.reached[:BATCH]}

    def pay(frames, visits):
        return np.where([frame.tobytes() in first for frame in frames], 1 / np.sqrt(visits), 0.5)

    assert honesty.decay(Toy(pay), steps, 20) == pytest.approx(1, rel=1e-5)


def test_visits_begin_an_episode_each_and_are_scored_before_they_teach(steps):
    toy = Toy(lambda frames, visits: 1 / visits)
    honesty.teach(toy, steps, 2, seed=0)
    assert toy.calls == ["begin", "act", "score", "update"] * (2 * WIDE // BATCH)
    assert list(toy.seen.values()) == [2] * WIDE
    assert honesty.scores(toy, steps[np.arange(40)]).tolist() == pytest.approx([1 / 3] * 40)
    assert sum(toy.seen.values()) == 2 * WIDE


# Size of the picture


def test_size_correlation_of_known_bonuses(steps):
    assert honesty.size_correlation(Toy(png_size), steps) == pytest.approx(1)
    assert honesty.size_correlation(
        Toy(lambda frames, visits: 1 / png_size(frames)), steps
    ) == pytest.approx(-1)
    assert honesty.size_correlation(Toy(lambda frames, visits: 3), steps) == 0


def test_size_correlation_equals_scipy(steps):
    with_ties = bright(steps.reached).round(-1)
    assert len(np.unique(with_ties)) < WIDE
    expected = spearmanr(with_ties, png_size(steps.reached)).statistic
    found = honesty.size_correlation(Toy(lambda frames, visits: bright(frames).round(-1)), steps)
    assert found == pytest.approx(expected)
    assert 0.5 < expected < 1


# Rooms


@pytest.fixture(scope="module")
def states():
    return rooms(FakeEncoder(), seed=0)


def agent_cells(frames):
    """Find the agent by its colour, at a pixel that no key in its hand hides."""
    corners = frames[:, PIXELS - 2 :: PIXELS, 2::PIXELS]
    found = np.argwhere((corners == AGENT).all(-1))
    assert found[:, 0].tolist() == list(range(len(frames)))
    return found[:, 1:]


def at_right(steps):
    return np.isin(agent_cells(steps.reached)[:, 1], COLUMNS[1])


def test_rooms_are_split_as_they_say(states):
    assert len(states.taught) == TAUGHT
    assert TAUGHT % BATCH == 0
    assert not at_right(states.taught).any()
    assert not at_right(states.held_out).any()
    assert at_right(states.unseen).all()
    corners = states.unseen.left[:, PIXELS // 2 :: PIXELS, PIXELS // 2 :: PIXELS]
    goals = np.argwhere((corners == GOAL).all(-1))[:, 1:]
    at_goal = (agent_cells(states.unseen.reached) == goals).all(1)
    assert at_goal.tolist() == [i < 4 for i in range(len(states.unseen))]
    pictures = [
        frame.tobytes()
        for part in (states.taught, states.held_out, states.unseen)
        for frame in part.reached
    ]
    layouts, gap = 4, 1
    left, right = (6 * len(columns) + gap for columns in COLUMNS)
    assert len(set(pictures)) == len(pictures) == layouts * (3 * left + right)


def test_steps_into_rooms_are_moves(states):
    ways = {0: (-1, 0), 1: (1, 0), 2: (0, -1), 3: (0, 1)}
    for part in (states.taught, states.held_out, states.unseen):
        went = agent_cells(part.reached) - agent_cells(part.left)
        assert went.tolist() == [list(ways[action]) for action in part.actions.tolist()]
        assert np.array_equal(part.reached_codes, FakeEncoder().encode(part.reached))
        assert np.array_equal(part.left_codes, FakeEncoder().encode(part.left))


def test_the_split_depends_on_the_seed(states):
    again, other = rooms(FakeEncoder(), seed=0), rooms(FakeEncoder(), seed=1)
    assert np.array_equal(states.taught.reached, again.taught.reached)
    known = {frame.tobytes() for frame in states.taught.reached}
    assert 0 < len(known & {frame.tobytes() for frame in other.taught.reached}) < TAUGHT


@pytest.mark.parametrize(
    ("pay", "area"),
    [
        (lambda frames, visits: agent_cells(frames)[:, 1] > CELLS // 2 - 1, 1),
        (lambda frames, visits: agent_cells(frames)[:, 1] <= CELLS // 2 - 1, 0),
        (lambda frames, visits: 1, 0.5),
    ],
    ids=["right", "left", "same"],
)
def test_room_auroc(pay, area, states):
    assert honesty.room_auroc(Toy(pay), states.held_out, states.unseen) == area


class Pictures(FakeEncoder):
    """Gives every picture a code of its own."""

    def encode(self, observations):
        return np.array(
            [[zlib.crc32(frame.tobytes()) % 2**24] for frame in observations], np.float32
        )


COUNTER = {"size": 0, "rooms": 0.5, "known": 1, "decay": 1}
SMALLEST = {"size": 1, "decay": 9**0.5}


@pytest.mark.parametrize(
    ("pay", "expected"),
    [
        (lambda frames, visits: 1 / np.sqrt(visits), COUNTER),
        (lambda frames, visits: 1 / png_size(frames), SMALLEST),
    ],
    ids=["a perfect counter", "small pictures"],
)
def test_figures_of_known_bonuses(pay, expected, monkeypatch):
    monkeypatch.setattr(honesty, "build", lambda name, encoder, seed: Toy(pay))
    monkeypatch.setattr(honesty, "cost", lambda bonus, steps: 3)
    found = _figures(
        "toy",
        Pictures(),
        [rooms(Pictures(), seed) for seed in range(2)],
        Extent(rounds=3, visits=9),
    )
    assert found["cost"] == 3
    assert {key: found[key] for key in expected} == pytest.approx(expected)


# Television


class Screen(Toy):
    """Pays when another picture is on the screen than before, for the first ``steps`` steps, and
    then always."""

    def __init__(self, steps):
        super().__init__(None)
        self.steps = steps

    def score(self, observations, latents):
        if not self.steps:
            return np.ones(len(latents), np.float32)
        shown = observations[:, SCREEN[0], SCREEN[1]]
        return (shown != self.before).any((1, 2, 3)).astype(np.float32)

    def update(self, observations, latents):
        self.steps = max(0, self.steps - 1)
        self.before = observations[:, SCREEN[0], SCREEN[1]].copy()

    def begin(self, observations, latents, rows):
        if not self.seen:
            self.before = observations[:, SCREEN[0], SCREEN[1]].copy()
        self.seen[0] = True
        self.before[rows] = observations[rows][:, SCREEN[0], SCREEN[1]]


def test_shares_of_the_television():
    """64 steps are an episode, so that the last tenth of 100 lies within the second."""
    make = [
        lambda: Screen(200),
        lambda: Screen(80),
        lambda: Toy(lambda *_: 2),
        lambda: Toy(lambda *_: 0),
    ]
    on, off = ([each() for each in make] for _ in range(2))
    shares, means = watch(on, off, FakeEncoder(), FakeEncoder(), 100 * BATCH, seed=3)
    actions = np.random.default_rng(3).integers(len(ACTIONS), size=(100, BATCH))
    usual = (actions[-10:] == SWITCH).mean()
    assert shares[:, 0].tolist() == [1, 0], "all of it for what pays only a new picture"
    assert shares[:, 1:3].ravel().tolist() == pytest.approx([usual] * 4), (
        "what was paid before does not count"
    )
    assert shares[:, 3].tolist() == [0, 0]
    assert means.T.ravel().tolist() == pytest.approx([usual, 0, 1, 1, 2, 2, 0, 0])


def test_half_of_the_spectators_see_the_same_steps_with_the_television_off():
    class Witness(Toy):
        def begin(self, observations, latents, rows):
            self.frames, self.codes = observations.copy(), latents.copy()

        def score(self, observations, latents):
            self.last = observations.copy()
            return np.zeros(len(latents), np.float32)

    on, off = Witness(None), Witness(None)
    watch([on], [off], FakeEncoder(), FakeEncoder(), BATCH, seed=5)
    for noisy, witness in ((True, on), (False, off)):
        first = np.stack([KeyRooms(noisy_tv=noisy).reset(seed=5 + i)[0] for i in range(BATCH)])
        assert np.array_equal(witness.frames, first)
        assert np.array_equal(witness.codes, FakeEncoder().encode(first))
    outside = np.ones(on.last.shape, bool)
    outside[:, SCREEN[0], SCREEN[1]] = False
    assert np.array_equal(on.last[outside], off.last[outside])
    assert not np.array_equal(on.last, on.frames)


# Cost


def test_cost_is_of_one_environment_and_the_median(steps, monkeypatch):
    clock = [0.0]
    slow = iter([5.0, 5.0, *[0.0] * 1000])

    class Slow(Toy):
        def score(self, observations, latents):
            clock[0] += 64e-6 + next(slow)
            return super().score(observations, latents)

        def update(self, observations, latents):
            clock[0] += 32e-6

    monkeypatch.setattr(honesty.time, "process_time", lambda: clock[0])
    assert honesty.cost(Slow(lambda *_: 1), steps) == pytest.approx(96 / BATCH)


# Tables


def test_verdicts_at_the_limit():
    assert Goal("a", 0.2).cell(0.2) == "0.200 pass"
    assert Goal("a", 0.2).cell(0.2004) == "0.200 FAIL"
    assert Goal("a", 0.95, least=True).cell(0.95) == "0.950 pass"
    assert Goal("a", 0.95, least=True).cell(0.9) == "0.900 FAIL"
    assert Goal("a", 2.0).cell(np.inf) == "inf FAIL"
    assert str(GOALS["rooms"]).endswith("at least 0.95")
    assert str(LOST).endswith("at most 0.05")


def test_every_recipe_is_judged_by_every_test(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(honesty, "COST_REPEATS", 1)
    monkeypatch.setattr(honesty, "COST_BATCHES", 1)
    study = compared(Extent(seeds=2, rounds=1, visits=3, frames=64, steps=2, television=20 * BATCH))
    tests, aside = study.tables
    assert list(tests.columns) == list(aside.columns) == ["", *RECIPES]
    assert [row[0] for row in tests.rows[:-1]] == list(map(str, GOALS.values()))
    for goal, row in zip(GOALS.values(), tests.rows, strict=False):
        for cell in row[1:]:
            figure, verdict = cell.split()
            assert verdict == ("pass" if (float(figure) >= goal.limit) == goal.least else "FAIL")
    cost = dict(zip(tests.columns, tests.rows[-1], strict=True))
    assert all(float(cost[name]) > 0 for name in RECIPES)
    decay = dict(zip(tests.columns, tests.rows[0], strict=True))
    assert decay["counts"] == "1.000 pass"
    assert decay["elliptical"].startswith(f"{3**0.5:.3f}")
    shares = {row[0]: np.array(row[1:], float) for row in aside.rows}
    taken = np.array([cell.split()[0] for cell in tests.rows[2][1:]], float)
    on, off = (shares[honesty.ASIDE[key]] for key in ("on", "off"))
    paid_on, paid_off = (shares[honesty.ASIDE[key]] for key in ("paid_on", "paid_off"))
    raised = [1 - off / on if on else 0 for on, off in zip(paid_on, paid_off, strict=True)]
    assert taken == pytest.approx(np.maximum(on - off, raised), abs=6e-3)


def test_what_the_television_takes():
    shares, means = (
        np.array([[0.5, 0.2, 0.0], [0.1, 0.2, 0.0]]),
        np.array([[2.0, 4.0, 0.0], [3.0, 1.0, 0.0]]),
    )
    assert honesty.taken(shares, means).tolist() == pytest.approx([0.4, 0.75, 0])


# Noise


def test_noise_is_a_tenth_of_the_range_and_clipped():
    rng = np.random.default_rng(0)
    noisy = with_noise(np.full((20, 64, 64, 3), 128, np.uint8), NOISE, rng)
    assert noisy.dtype == np.uint8
    assert noisy.std() == pytest.approx(25.5, rel=0.01)
    assert noisy.mean() == pytest.approx(128, abs=0.2)
    dark = with_noise(np.zeros((20, 64, 64, 3), np.uint8), NOISE, rng)
    assert (dark == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert dark.max() < 255


class Still(VecEnv):
    """Grey frames; the second environment ends with every step."""

    def __init__(self):
        super().__init__(2, spaces.Box(0, 255, (8, 8, 3), np.uint8), spaces.Discrete(2))
        self.frames = np.full((2, 8, 8, 3), 128, np.uint8)

    def reset(self):
        return self.frames

    def step_async(self, actions):
        pass

    def step_wait(self):
        infos = [{"episode": {"r": 1}}, {"terminal_observation": self.frames[1].copy(), "kept": 3}]
        return self.frames, np.array([1.0, 2.0], np.float32), np.array([False, True]), infos

    def close(self):
        pass

    def get_attr(self, attr_name, indices=None):
        return [None, None]

    def set_attr(self, attr_name, value, indices=None):
        raise NotImplementedError

    def env_method(self, method_name, *method_args, indices=None, **method_kwargs):
        raise NotImplementedError

    def env_is_wrapped(self, wrapper_class, indices=None):
        return [False, False]


def test_every_frame_has_noise_of_its_own():
    still = Still()
    venv = NoisyFrames(still, NOISE, seed=0)
    first = venv.reset()
    frames, rewards, dones, infos = venv.step(np.zeros(2, int))
    seen = [*first, *frames, infos[1]["terminal_observation"]]
    assert len({frame.tobytes() for frame in seen}) == 5
    assert all(10 < frame.std() < 40 for frame in seen)
    assert (still.frames == 128).all()
    assert (rewards.tolist(), dones.tolist()) == ([1, 2], [False, True])
    assert infos[0] == {"episode": {"r": 1}}
    assert infos[1]["kept"] == 3


FEW = Extent(frames=64, steps=2, agents=2, timesteps=10)


class Untrained:
    """What stands for training: with noise "rnd" loses .25, "icm" nothing, and "counts" gains."""

    returns = {
        0.0: {"rnd": 0.75, "icm": 0.25, "counts": 0.25},
        NOISE: {"rnd": 0.5, "icm": 0.25, "counts": 0.5},
    }

    def __init__(self):
        self.calls, self.interrupted = [], 0

    def __call__(self, recipe, encoder, noise, timesteps, seed):
        self.calls.append((recipe, noise, timesteps, seed))
        if len(self.calls) == self.interrupted:
            raise KeyboardInterrupt
        assert encoder == (DOOR_KEY, FEW.frames, FEW.steps, noise)
        return self.returns[noise][recipe] + (0.125 if seed else -0.125)


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    training = Untrained()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(honesty, "trained_score", training)
    monkeypatch.setattr(honesty, "encoder", lambda *arguments: arguments)
    return training


def test_the_table_of_noise(untrained):
    (table,) = endured(FEW, ["rnd", "icm", "counts"]).tables
    assert list(table.columns) == ["", "rnd", "icm", "counts"]
    assert table.rows[0][1:] == ["0.750 (0.625 to 0.875)", *["0.250 (0.125 to 0.375)"] * 2]
    assert table.rows[1][1] == "0.500 (0.375 to 0.625)"
    assert table.rows[2][1:] == ["0.250 FAIL", "0.000 pass", "-0.250 pass"]
    assert len(untrained.calls) == len(set(untrained.calls)) == 3 * 2 * 2


def test_an_interrupted_study_of_noise_goes_on_and_a_whole_one_begins_anew(untrained):
    untrained.interrupted = 3
    with pytest.raises(KeyboardInterrupt):
        endured(FEW, ["rnd"])
    table = endured(FEW, ["rnd"]).tables[0]
    assert table.rows[2][1] == "0.250 FAIL"
    assert len(untrained.calls) == 3 + 2, "the two that were done are not trained again"
    endured(FEW, ["rnd"])
    assert len(untrained.calls) == 3 + 2 + 4


def test_an_agent_trains_on_noisy_frames(tmp_path, monkeypatch):
    pytest.importorskip("minigrid")
    small = {
        "n_envs": 2,
        "n_steps": 32,
        "batch_size": 32,
        "n_epochs": 1,
        "policy_kwargs": {"net_arch": [8]},
    }
    settings = {**agents.algorithms.base.PPO_LATENT, **small}
    monkeypatch.setattr(agents.algorithms.base, "TUNED", {("MiniGrid-", "ppo", True): settings})
    monkeypatch.chdir(tmp_path)
    taught, encoded, fit = [], [], honesty_data.fit

    def watched_fit(model, frames, config, progress):
        taught.append(frames[0])
        fit(model, frames, config, progress=progress)

    monkeypatch.setattr(honesty_data, "fit", watched_fit)

    class Watched:
        def __init__(self, model):
            self.model = model

        def __getattr__(self, name):
            return getattr(self.model, name)

        def encode(self, observations):
            encoded.append(observations[0].copy())
            return self.model.encode(observations)

    for noise in (0.0, NOISE):
        model = encoder(DOOR_KEY, 64, 2, noise)
        assert isinstance(model, lrl.Autoencoder)
        score = trained_score(
            "counts", Watched(model), noise, 600, seed=0
        )  # episodes last 250 at most
        assert 0 <= score <= 1
        for frame in (taught[-1], encoded[-1]):
            colours = len(np.unique(frame.reshape(-1, 3), axis=0))
            assert (colours > 500) == (noise > 0)
