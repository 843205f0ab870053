"""Every bonus falls where it has been, resumes and repeats; values against brute force, NumPy and
closed forms."""

from __future__ import annotations

import collections
import inspect

import cv2
import numpy as np
import pytest
import torch

import latentrl as lrl
from latentrl.models import MODELS
from latentrl.novelty import (
    ICM,
    NOVELTIES,
    RND,
    Bonus,
    Elliptical,
    FirstVisits,
    HashCounts,
    NormalizedBonus,
    Product,
    ReconstructionNovelty,
    Sum,
)
from latentrl.novelty.base import checked
from latentrl.novelty.counters import EPISODE_SLOTS, Hasher
from latentrl.novelty.frame_buffer import Memory
from latentrl.novelty.normalize import RunningVariance
from latentrl.novelty.reconstruction import Learning
from latentrl.novelty.rnd import CLIP, Normalised
from latentrl.types import Novelty
from latentrl.utils.io import read_tensors, write_tensors

B, DIM, ACTIONS = 6, 4, 3
MLP = {"name": "mlp", "hidden": (16,)}
EAGER = Learning(
    memory=64, learning_starts=0, train_freq=B, gradient_steps=4, batch_size=16, learning_rate=3e-3
)
QUICK = {
    "rnd": {"learning_rate": 3e-3, "share": 1.0},
    "icm": {"learning_rate": 3e-3},
    "reconstruction": {"floor": 0.0},
}
EVERY = [*NOVELTIES, "product", "sum"]
GROWING = ("rnd", "icm", "sum", "reconstruction")
"""What is built at the first batch, or has moments after the first step."""
NO_FRAMES = np.zeros((B, 1), np.uint8)


def tiny_model(likelihood="gaussian", size=(8, 8, 3), seed=0):
    torch.manual_seed(seed)
    return lrl.beta_vae(size, latent_dim=DIM, beta=1.0, likelihood=likelihood, backbone=MLP)


def build(name, **options):
    """Build a bonus that learns quickly; what a new one asks for beyond the model and the actions
    has a default."""
    if name == "product":
        return Product([HashCounts(), FirstVisits()])
    if name == "sum":
        return Sum([build("rnd"), Elliptical()], [1.0, 0.5])
    takes = inspect.signature(NOVELTIES[name]).parameters
    context = {"model": tiny_model(), "actions": ACTIONS, "learning": EAGER}
    given = {key: value for key, value in context.items() if key in takes}
    return NOVELTIES[name](**{**given, **QUICK.get(name, {}), **options})


def states(seed, count=B):
    """Draw distinct frames, and codes that go with them."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    return frames, (3 * rng.standard_normal((count, DIM))).astype(np.float32)


def start(bonus, batch):
    bonus.begin(*batch, np.ones(len(batch[1]), bool))
    bonus.act(np.arange(len(batch[1])) % ACTIONS)


def visit(bonus, batch):
    score = bonus.score(*batch)
    bonus.update(*batch)
    return score


def visited(name, times=10, **options):
    """Return a bonus that has been to the same states a number of times."""
    bonus = build(name, **options)
    start(bonus, states(0))
    for _ in range(times):
        visit(bonus, states(0))
    return bonus


def on_disk(state, path):
    write_tensors(path / "state.safetensors", state, {"note": 1})
    return read_tensors(path / "state.safetensors", "note")[0]


# Contracts.


@pytest.mark.parametrize("name", EVERY)
def test_scores_are_finite_float32_and_scoring_learns_nothing(name):
    bonus = build(name)
    assert isinstance(bonus, Novelty)
    start(bonus, states(0))
    for seed in (0, 1, 0):
        first, second = bonus.score(*states(seed)), bonus.score(*states(seed))
        assert first.dtype == np.float32
        assert first.shape == (B,)
        assert np.isfinite(first).all()
        assert np.array_equal(first, second)
        bonus.update(*states(seed))


@pytest.mark.parametrize("name", EVERY)
def test_scores_fall_where_it_has_been_and_not_elsewhere(name):
    bonus = build(name)
    start(bonus, states(9))
    first = visit(bonus, states(0))
    for _ in range(40):
        visit(bonus, states(0))
    known, unknown = bonus.score(*states(0)), bonus.score(*states(1))
    assert (known < first).all()
    assert known.mean() < 0.5 * min(first.mean(), unknown.mean())


@pytest.mark.parametrize("name", EVERY)
def test_state_restores_the_scores_of_a_new_episode(name, tmp_path):
    bonus = visited(name)
    state = on_disk(bonus.state_dict(), tmp_path)
    restored, ready = build(name), visited(name, times=1)
    visit(ready, states(1))
    for other in (restored, ready):
        other.load_state_dict(state)
    for other in (bonus, restored, ready):
        start(other, states(1))
    for seed in (0, 1):
        assert np.array_equal(bonus.score(*states(seed)), restored.score(*states(seed)))
        assert np.array_equal(bonus.score(*states(seed)), ready.score(*states(seed)))
    if name != "reconstruction":  # which draws other frames
        for other in (bonus, restored, ready):
            for seed in (2, 0, 3):
                visit(other, states(seed))
        assert np.array_equal(bonus.score(*states(1)), restored.score(*states(1)))
        assert np.array_equal(bonus.score(*states(1)), ready.score(*states(1)))


def test_a_live_model_remembers_across_a_resumption(tmp_path):
    bonus, restored = visited("reconstruction", times=15), build("reconstruction")
    restored.load_state_dict(on_disk(bonus.state_dict(), tmp_path))
    assert (
        (restored.steps, restored.memory.seen) == (bonus.steps, bonus.memory.seen) == (60, 15 * B)
    )
    frames = {frame.tobytes() for frame in states(0)[0]}
    assert {frame.tobytes() for frame in restored.memory.sample(200)} == frames
    before, after = (each.optimizer.state_dict()["state"] for each in (bonus, restored))
    assert before.keys() == after.keys() != set()
    assert all(torch.equal(before[i][key], after[i][key]) for i in before for key in before[i])
    for other in (bonus, restored):
        visit(other, states(1))
    assert restored.steps == bonus.steps
    assert restored.memory.seen == bonus.memory.seen
    with pytest.raises(
        ValueError, match="a memory of 9 frames cannot take the 64 frames of another"
    ):
        Memory(9).load_state_dict(bonus.memory.state_dict())


@pytest.mark.parametrize("name", EVERY)
def test_a_state_is_a_snapshot(name):
    bonus = visited(name, times=3)
    state = bonus.state_dict()
    kept = {key: value.clone() for key, value in state.items()}
    other = build(name)
    other.load_state_dict(state)
    visit(bonus, states(1))
    assert all(torch.equal(state[key], kept[key]) for key in kept)
    assert state.keys() == build(name).state_dict().keys() or name in GROWING


@pytest.mark.parametrize("name", ["counts", "product"])
def test_a_fresh_state_can_be_written(name, tmp_path):
    build(name).load_state_dict(on_disk(build(name).state_dict(), tmp_path))


@pytest.mark.parametrize("name", EVERY)
def test_a_seed_repeats_and_the_global_generator_is_left_alone(name):
    first = visited(name)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - the global one is what must not matter
    second = build(name)
    before = torch.get_rng_state()
    start(second, states(0))
    for _ in range(10):
        visit(second, states(0))
    if name == "reconstruction":
        ReconstructionNovelty(second.live)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first.score(*states(1)), second.score(*states(1)))


@pytest.mark.parametrize("name", EVERY)
def test_selected_rows_score_as_in_the_full_batch(name):
    bonus, rows = visited(name, times=3), np.array([1, 4])
    frames, codes = states(1)
    full = bonus.score(frames, codes)
    bonus.select(rows)
    some = bonus.score(frames[rows], codes[rows])
    assert some == pytest.approx(full[rows], rel=1e-5)
    bonus.update(frames[rows], codes[rows])
    bonus.select(np.arange(B))
    assert bonus.score(frames, codes).shape == (B,)


@pytest.mark.parametrize("name", EVERY)
def test_a_smaller_batch_may_begin(name):
    bonus = visited(name, times=2)
    start(bonus, states(1, B - 2))
    assert visit(bonus, states(2, B - 2)).shape == (B - 2,)


@pytest.mark.parametrize("name", ["first_visits", "elliptical"])
def test_rows_seen_later_do_not_disturb_those_seen_before(name):
    bonus, rows = build(name), np.array([0, 2])
    frames, codes = states(0)
    bonus.select(rows)
    fresh = visit(bonus, (frames[rows], codes[rows]))
    bonus.select(np.arange(B))
    score = bonus.score(frames, codes)
    assert (score[rows] < fresh).all()
    assert score[1] == build(name).score(frames, codes)[1]


@pytest.mark.parametrize("name", EVERY)
def test_figures_are_numbers(name):
    figures = visited(name, times=2).metrics()
    assert all(isinstance(value, float) and np.isfinite(value) for value in figures.values())


@pytest.mark.parametrize("name", EVERY)
def test_frames_and_codes_may_be_read_only_or_reversed_views(name):
    bonus, other = build(name), build(name)
    frames, codes = states(0)
    views = frames[:, :, ::-1], codes[::-1]
    for view in views:
        view.flags.writeable = False
    for each, batch in (
        (bonus, views),
        (other, tuple(np.ascontiguousarray(view) for view in views)),
    ):
        start(each, batch)
    assert visit(bonus, views) == pytest.approx(
        visit(other, tuple(view.copy() for view in views)), rel=1e-5
    )


def test_a_bonus_needs_no_more_than_score_and_update():
    class Own(Bonus):
        def score(self, observations, latents):
            return np.ones(len(latents), np.float32)

        def update(self, observations, latents):
            pass

    bonus = Own()
    start(bonus, states(0))
    bonus.select(np.arange(2))
    bonus.load_state_dict(bonus.state_dict())
    assert visit(bonus, states(0)).tolist() == [1] * B
    assert bonus.state_dict() == bonus.metrics() == {}


# Counts.


@pytest.mark.parametrize("kind", ["grid", "sign"])
def test_equal_codes_have_equal_keys_and_others_different_ones(kind):
    codes = np.unique(np.random.default_rng(0).integers(-4, 5, (4000, 5)), axis=0).astype(
        np.float32
    )
    hasher = Hasher(kind, bits=64)
    keys = hasher(codes)
    assert keys.dtype == np.uint64
    assert np.array_equal(keys, hasher(codes.copy()))
    assert np.array_equal(keys, Hasher(kind, bits=64)(codes))
    if kind == "grid":
        assert len(np.unique(keys)) == len(codes)
    else:  # only the direction counts
        assert len(np.unique(keys)) > 0.9 * len(codes)
        assert np.array_equal(keys, hasher(codes * 7))
        assert not np.array_equal(keys, hasher(codes + 3))


def test_a_grid_cell_is_one_width_wide_and_centred_on_its_multiple():
    hasher = Hasher("grid", width=0.5)
    inside = np.array([[1.0, -2.0], [1.24, -2.24], [0.76, -1.76]], np.float32)
    assert len(np.unique(hasher(inside))) == 1
    outside = np.array(
        [[1.26, -2.0], [0.74, -2.0], [1.0, -1.74], [1.0, -2.26], [-2.0, 1.0]], np.float32
    )
    assert len(np.unique(hasher(np.concatenate([inside[:1], outside])))) == 6


@pytest.mark.parametrize("angle", [0.2, 1.0, 2.5])
def test_signs_agree_with_probability_one_minus_angle_over_pi(angle):
    rng = np.random.default_rng(0)
    agree = []
    for seed in range(60):
        a, b = np.linalg.qr(rng.standard_normal((6, 2)))[0].T
        keys = Hasher("sign", bits=64, seed=seed)(
            np.stack([a, np.cos(angle) * a + np.sin(angle) * b]).astype(np.float32)
        )
        agree.append(64 - int(keys[0] ^ keys[1]).bit_count())
    expected = 1 - angle / np.pi
    assert np.mean(agree) / 64 == pytest.approx(
        expected, abs=4 * np.sqrt(expected * (1 - expected) / 3840)
    )


def test_counts_are_those_of_a_dictionary():
    rng = np.random.default_rng(0)
    bonus, counts = HashCounts(), collections.Counter()
    for _ in range(200):
        codes = rng.integers(-2, 3, (8, 3))
        expected = [1 / np.sqrt(counts[tuple(code)] + 1) for code in codes]
        assert visit(bonus, (NO_FRAMES, codes.astype(np.float32))) == pytest.approx(expected)
        counts.update(map(tuple, codes))
    assert bonus.metrics() == {"distinct_codes": len(counts)}
    assert sorted(bonus.state_dict()["counts"].tolist()) == sorted(counts.values())


def test_counts_fall_as_one_over_the_root_of_the_visits():
    bonus = HashCounts("sign")
    scores = [visit(bonus, (NO_FRAMES[:1], np.ones((1, 8), np.float32)))[0] for _ in range(1000)]
    assert scores == pytest.approx(1 / np.sqrt(np.arange(1, 1001)))


def test_first_visits_are_those_of_a_set_for_each_episode():
    rng = np.random.default_rng(1)
    bonus, seen = FirstVisits(), [set() for _ in range(B)]
    first, ends = rng.integers(0, 4, (B, 2)), 0
    bonus.begin(NO_FRAMES, first.astype(np.float32), np.ones(B, bool))
    for own, code in zip(seen, first, strict=True):
        own.add(tuple(code))
    for _ in range(200):
        codes = rng.integers(0, 4, (B, 2))
        expected = [float(tuple(code) not in own) for own, code in zip(seen, codes, strict=True)]
        assert visit(bonus, (NO_FRAMES, codes.astype(np.float32))).tolist() == expected
        for own, code in zip(seen, codes, strict=True):
            own.add(tuple(code))
        ended, begun = rng.random(B) < 0.1, rng.integers(0, 4, (B, 2))
        if ended.any():
            bonus.begin(NO_FRAMES, begun.astype(np.float32), ended)
            for i in np.flatnonzero(ended):
                seen[i], ends = {tuple(begun[i])}, ends + 1
    assert ends > 50


def test_few_of_a_thousand_new_codes_pass_for_seen():
    bonus = FirstVisits()
    codes = np.random.default_rng(0).integers(0, 1000, (1000, 1, 4)).astype(np.float32)
    missed = sum(visit(bonus, (NO_FRAMES[:1], code))[0] == 0 for code in codes)
    assert missed / 1000 == pytest.approx(500 / EPISODE_SLOTS, abs=0.02)


# The ellipse.


@pytest.mark.parametrize("scale", [1, 100])
def test_elliptical_is_the_inverse_of_the_accumulated_matrix(scale):
    rng = np.random.default_rng(0)
    bonus, sums = Elliptical(ridge=0.1), np.tile(0.1 * np.eye(5), (B, 1, 1))
    usual = (scale * rng.standard_normal((B, 5))).astype(np.float32)
    bonus.begin(NO_FRAMES, usual, np.ones(B, bool))
    for step in range(300):
        codes = usual if step % 2 else (scale * rng.standard_normal((B, 5))).astype(np.float32)
        wide = codes.astype(np.float64)
        expected = np.einsum("bi,bij,bj->b", wide, np.linalg.inv(sums), wide)
        assert visit(bonus, (NO_FRAMES, codes)) == pytest.approx(expected, rel=1e-4)
        sums += wide[:, :, None] * wide[:, None]
        if step % 50 == 49:
            rows = np.arange(B) == step // 50
            bonus.begin(NO_FRAMES, codes, rows)
            sums[rows] = 0.1 * np.eye(5)


def test_elliptical_needs_no_beginning():
    codes = np.full((2, 3), 2.0, np.float32)
    assert Elliptical(ridge=0.5).score(NO_FRAMES[:2], codes) == pytest.approx([24, 24])


# Combinations.


class Fixed:
    """A user's own bonus: no more than the two methods, and answers given beforehand."""

    def __init__(self, *answers):
        self.answers, self.learned = [np.asarray(answer) for answer in answers], []

    def score(self, observations, latents):
        return self.answers[min(len(self.learned), len(self.answers) - 1)]

    def update(self, observations, latents):
        self.learned.append(latents.copy())


class Keeping(Fixed):
    """One with a state and figures too, and yet no subclass of Bonus."""

    number = 0.0

    def state_dict(self):
        return {"number": torch.tensor(self.number)}

    def load_state_dict(self, state):
        self.number = float(state["number"])

    def metrics(self):
        return {"number": self.number}


def test_product_and_sum_by_hand():
    parts = [Fixed([1.0, 2.0, 3.0]), Fixed([0.5, 0.0, -1.0])]
    batch = states(0, 3)
    assert visit(Product(parts), batch).tolist() == [0.5, 0, -3]
    bonus = Sum(parts, [2.0, 10.0])
    assert visit(bonus, batch).tolist() == [7, 4, -4]
    assert bonus.score(*batch).dtype == np.float32
    assert [len(part.learned) for part in parts] == [2, 2]
    assert bonus.metrics() == pytest.approx(
        {
            "mean_Fixed_1": 2.0,
            "mean_Fixed_2": -1 / 6,
            "share_Fixed_1": 12 / 17,
            "share_Fixed_2": 5 / 17,
        }
    )


def test_a_combination_of_a_users_own_bonuses_takes_every_hook():
    own = Keeping(np.ones(B))
    own.number = 4.0
    bonus = Product([own, FirstVisits()])
    start(bonus, states(0))
    bonus.select(np.arange(B))
    assert bonus.state_dict() == {"0.number": torch.tensor(4.0)}
    bonus.load_state_dict({"0.number": torch.tensor(5.0)})
    assert bonus.metrics() == {"number": 5, "mean_Keeping": 0, "mean_FirstVisits": 0}


def test_a_combination_needs_bonuses_and_their_weights():
    with pytest.raises(ValueError, match="a combination needs at least one bonus"):
        Product([])
    with pytest.raises(ValueError, match="a sum of 2 bonuses needs as many weights, got 1"):
        Sum([HashCounts(), FirstVisits()], [1.0])
    with pytest.raises(ValueError, match=r"Fixed\.score must return 6 bonuses, got shape \(2,\)"):
        Product([Fixed([1.0, 1.0]), HashCounts()]).score(*states(0))


# Scaling.


def test_the_unit_is_the_standard_deviation_of_all_discounted_sums():
    rng = np.random.default_rng(0)
    raw = rng.gamma(1.0, 1.0, (50, B)).astype(np.float32)
    bonus = NormalizedBonus(Fixed(*raw), weight=0.1, gamma=0.9, warmup=0, clip=1.5)
    sums, stream = np.zeros(B), []
    for step, row in enumerate(raw):
        if step == 20:
            bonus.begin(*states(0), np.ones(B, bool))  # an episode's end does not end the sums
        unit = np.std(stream) if stream else 1.0
        assert visit(bonus, states(0)) == pytest.approx(
            0.1 * np.clip(row / unit, -1.5, 1.5), rel=1e-4
        )
        sums = 0.9 * sums + row
        stream.extend(sums)
    assert bonus.unit.std == pytest.approx(np.std(stream))
    assert bonus.metrics() == pytest.approx(
        {"raw": raw[-1].mean(), "unit": np.std(stream), "weight": 0.1}
    )


def test_sums_are_kept_for_each_environment_when_some_are_selected():
    raw = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 0.0]], np.float32)
    bonus = NormalizedBonus(Fixed(raw[0], raw[1, :2]), gamma=0.5, warmup=0)
    visit(bonus, states(0, 3))
    bonus.select(np.array([0, 2]))
    visit(bonus, states(0, 2))
    assert bonus.state_dict()["sums"].tolist() == [8.5, 2, 18]
    assert bonus.unit.std == pytest.approx(np.std([1, 2, 4, 8.5, 18]))


def test_sums_of_environments_seen_later_begin_at_zero():
    bonus = NormalizedBonus(Fixed([1.0], np.ones(3)), gamma=0.5, warmup=0)
    bonus.select(np.array([0]))
    visit(bonus, states(0, 1))
    bonus.select(np.arange(3))
    visit(bonus, states(0, 3))
    assert bonus.state_dict()["sums"].tolist() == [1.5, 1, 1]


def test_a_running_variance_is_that_of_the_whole_stream():
    variance, parts = (
        RunningVariance(),
        [np.random.default_rng(n).normal(1e3, 2, n) for n in (1, 7, 300)],
    )
    assert variance.std == 1
    for part in parts:
        variance.update(part)
    assert variance.std == pytest.approx(np.concatenate(parts).std())
    assert variance.mean == pytest.approx(np.concatenate(parts).mean())


def test_warm_up_pays_nothing_and_learns():
    inner = HashCounts()
    bonus = NormalizedBonus(inner, weight=1.0, warmup=2 * B)
    codes = [states(seed)[1] for seed in range(3)]
    scores = [visit(bonus, (NO_FRAMES, code)) for code in codes]
    assert [score.any() for score in scores] == [False, False, True]
    assert scores[0].dtype == np.float32
    assert inner.metrics()["distinct_codes"] == 3 * B
    assert bonus.unit.count == 3 * B


def test_the_weight_falls_to_nothing_over_its_steps():
    bonus = NormalizedBonus(Fixed(np.ones(B)), weight=0.5, warmup=0, decay_steps=4 * B)
    weights = []
    for _ in range(6):
        weights.append(bonus.current_weight)
        score = visit(bonus, states(0))
    assert weights == [0.5, 0.375, 0.25, 0.125, 0, 0]
    assert not score.any()
    assert NormalizedBonus(Fixed(np.ones(B)), weight=0.5).current_weight == 0.5


def test_scaling_resumes_where_it_was(tmp_path):
    def scaled():
        return NormalizedBonus(visited("rnd", times=0), warmup=0, decay_steps=1000)

    bonus, restored = scaled(), scaled()
    for seed in range(5):
        visit(bonus, states(seed))
    state = bonus.state_dict()
    restored.load_state_dict(on_disk(state, tmp_path))
    sums = state["sums"].tolist()
    for seed in range(3):
        assert np.array_equal(bonus.score(*states(seed)), restored.score(*states(seed)))
    assert restored.metrics()["unit"] == bonus.metrics()["unit"]
    assert (restored.seen, restored.current_weight) == (5 * B, bonus.current_weight)
    visit(bonus, states(0))
    visit(restored, states(0))
    assert state["sums"].tolist() == sums
    assert bonus.state_dict()["sums"].tolist() == restored.state_dict()["sums"].tolist() != sums


def test_scaling_keeps_the_state_of_a_users_own_bonus():
    own = Keeping(np.ones(B))
    own.number = 3.0
    other = NormalizedBonus(Keeping(np.ones(B)))
    other.load_state_dict(NormalizedBonus(own).state_dict())
    assert other.novelty.number == other.metrics()["number"] == 3
    plain = NormalizedBonus(Fixed(np.ones(B)))
    plain.load_state_dict(plain.state_dict())
    assert plain.metrics().keys() == {"raw", "unit", "weight"}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.array([1.0, np.nan, 1.0]), r"Fixed\.score returned NaN or infinity"),
        (np.array([1.0, np.inf, 1.0]), r"Fixed\.score returned NaN or infinity"),
        (np.ones((3, 1)), r"Fixed\.score must return 3 bonuses, got shape \(3, 1\)"),
        (np.ones(2), r"Fixed\.score must return 3 bonuses, got shape \(2,\)"),
        (1.0, r"Fixed\.score must return 3 bonuses, got shape \(\)"),
    ],
)
def test_what_a_novelty_may_not_return(answer, message):
    for call in (
        lambda own: NormalizedBonus(own).score(*states(0, 3)),
        lambda own: checked(own, own.score(None, None), 3),
    ):
        with pytest.raises(ValueError, match=message):
            call(Fixed(answer))


def test_only_a_novelty_can_be_scaled():
    with pytest.raises(TypeError, match=r"a novelty has score.* and update.*; int lacks one"):
        NormalizedBonus(3)


@pytest.mark.parametrize(
    "options",
    [
        {"weight": -1.0},
        {"gamma": 1.0},
        {"gamma": -0.1},
        {"clip": 0.0},
        {"warmup": -1},
        {"decay_steps": 0},
    ],
)
def test_scaling_refuses_values_without_a_meaning(options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=rf"scaling needs weight >= 0.* got .*{name}={value}(,|$)"):
        NormalizedBonus(HashCounts(), **options)


# Random network distillation.


def test_inputs_are_normalised_by_the_mean_and_variance_of_the_stream_and_clipped():
    rng = np.random.default_rng(0)
    stream = (rng.standard_normal((40, 8, 3)) * [1, 10, 0.1] + [5, -3, 0]).astype(np.float32)
    normalised = Normalised((3,))
    for batch in stream:
        normalised.learn(torch.from_numpy(batch))
    flat = stream.reshape(-1, 3).astype(np.float64)
    assert normalised.mean.numpy() == pytest.approx(flat.mean(0), rel=1e-4)
    assert normalised.variance.numpy() == pytest.approx(flat.var(0), rel=1e-4)
    far = torch.from_numpy(stream[0]) + 1e4
    assert normalised(far).unique().tolist() == [CLIP] == [5.0]
    assert normalised(-far).unique().tolist() == [-CLIP]
    expected = np.clip((stream[0] - flat.mean(0)) / flat.std(0), -5, 5)
    assert normalised(torch.from_numpy(stream[0])).numpy() == pytest.approx(expected, abs=1e-3)


def test_rnd_takes_every_state_into_its_statistics():
    bonus = RND(share=0.01)
    for seed in range(5):
        visit(bonus, states(seed))
    codes = np.concatenate([states(seed)[1] for seed in range(5)])
    assert bonus.networks["normalised"].mean.numpy() == pytest.approx(
        codes.mean(0), rel=1e-3, abs=1e-3
    )
    assert bonus.networks["normalised"].variance.numpy() == pytest.approx(codes.var(0), rel=1e-3)


@pytest.mark.parametrize("of", ["latents", "pixels"])
def test_rnd_learns_what_it_has_seen_from_a_target_that_stays(of):
    bonus = RND(of=of, share=1.0, learning_rate=1e-3)
    visit(bonus, states(0))
    target = {
        name: weight.clone() for name, weight in bonus.networks["target"].state_dict().items()
    }
    predictor = {
        name: weight.clone() for name, weight in bonus.networks["predictor"].state_dict().items()
    }
    known = bonus.score(*states(0)).mean()
    for _ in range(60):
        visit(bonus, states(0))
    assert all(
        torch.equal(weight, target[name])
        for name, weight in bonus.networks["target"].state_dict().items()
    )
    assert not any(
        torch.equal(w, predictor[name])
        for name, w in bonus.networks["predictor"].state_dict().items()
    )
    assert bonus.score(*states(0)).mean() < 0.1 * known
    assert bonus.score(*states(1)).min() > 3 * bonus.score(*states(0)).max()
    assert bonus.metrics() == {
        "prediction_error": pytest.approx(bonus.score(*states(0)).mean(), rel=0.5)
    }


def test_rnd_starts_from_orthogonal_weights():
    bonus = RND(features=16)
    bonus.score(*states(0))
    layers = [layer for layer in bonus.networks.modules() if isinstance(layer, torch.nn.Linear)]
    assert len(layers) == 9
    for layer in layers:
        weight = layer.weight.detach().numpy()
        small = weight @ weight.T if len(weight) <= weight.shape[1] else weight.T @ weight
        assert small == pytest.approx(2 * np.eye(len(small)), abs=1e-4)
        assert not layer.bias.any()


def test_rnd_trains_on_its_share_of_the_states(monkeypatch):
    bonus, rows = RND(share=0.25), []
    errors = bonus._errors
    monkeypatch.setattr(bonus, "_errors", lambda x: rows.append(len(x)) or errors(x))
    for seed in range(50):
        bonus.update(*states(seed, 20))
    assert sum(rows) / 1000 == pytest.approx(0.25, abs=0.05)


def test_pixels_may_be_grey():
    frames, codes = states(0)
    assert visit(RND(of="pixels"), (frames[..., 0], codes)).shape == (B,)
    with pytest.raises(
        ValueError,
        match=r"of='pixels' needs images \(B, H, W, C\), got shape \(6, 4\); use of='lat",
    ):
        RND(of="pixels").score(codes, codes)


# Curiosity.


def walk(bonus, steps, count=16, seed=0):
    """Walk over a torus of 5 x 5 places; the four actions are the four directions."""
    rng, moves = np.random.default_rng(seed), np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    places = rng.integers(0, 5, (count, 2))

    def codes():
        angles = 2 * np.pi * places / 5
        return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)

    bonus.begin(np.zeros((count, 1), np.uint8), codes(), np.ones(count, bool))
    for _ in range(steps):
        before, actions = codes(), rng.integers(0, 4, count)
        bonus.act(actions)
        places = (places + moves[actions]) % 5
        score = bonus.score(np.zeros((count, 1), np.uint8), codes())
        yield before, actions, codes(), score
        bonus.update(np.zeros((count, 1), np.uint8), codes())


def reading(bonus, before, actions, after, score):
    """Return how often the inverse model is right, and the share of the features' variance that is
    not foreseen."""
    net = bonus.networks
    with torch.no_grad():
        left, right = (
            net["features"](net["normalised"](torch.from_numpy(x))) for x in (before, after)
        )
        guess = net["inverse_model"](torch.cat([left, right], 1)).argmax(1).numpy()
    return (guess == actions).mean(), 2 * score.mean() / float(right.var(0, correction=0).mean())


def test_icm_reads_the_action_and_foresees_what_is_predictable():
    bonus = ICM(4, learning_rate=3e-3)
    right, unforeseen = np.array([reading(bonus, *step) for step in walk(bonus, 300)]).T
    assert right[:5].mean() < 0.6
    assert right[-20:].mean() > 0.95
    assert unforeseen[-20:].mean() < 0.15 * unforeseen[:20].mean()
    assert bonus.metrics()["prediction_error"] > 0


def test_icm_leaves_the_state_that_was_reached_or_where_the_next_episode_begins():
    bonus, x = ICM(ACTIONS), [np.full((3, 2), value, np.float32) for value in range(5)]
    frames = NO_FRAMES[:3]
    bonus.begin(frames, x[0], np.ones(3, bool))
    x[0][:] = 9  # what is kept is a copy
    assert bonus._before.tolist() == [[0, 0]] * 3
    bonus.act(np.zeros(3, int))
    bonus.update(frames, x[1])
    assert bonus._before.tolist() == x[1].tolist()
    bonus.act(np.zeros(3, int))
    bonus.update(frames, x[2])  # environment 1 ends here, and begins again at 3
    bonus.begin(frames, x[3], np.array([False, True, False]))
    assert bonus._before.tolist() == [[2, 2], [3, 3], [2, 2]]
    bonus.act(np.zeros(3, int))
    bonus.select(np.array([0, 2]))  # environment 1 only resets
    bonus.update(frames[:2], x[4][:2])
    bonus.select(np.arange(3))
    assert bonus._before.tolist() == [[4, 4], [3, 3], [4, 4]]
    x[4][:] = 9
    assert bonus._before.tolist() == [[4, 4], [3, 3], [4, 4]]


def test_icm_scores_the_step_from_the_state_left_under_the_action_taken():
    bonus, batch = visited("icm"), states(1)
    bonus.begin(*states(2), np.ones(B, bool))
    net = bonus.networks
    with torch.no_grad():
        left, after = (
            net["features"](net["normalised"](torch.from_numpy(states(n)[1]))) for n in (2, 1)
        )
        action = torch.eye(ACTIONS)[np.arange(B) % ACTIONS]
        expected = 0.5 * (net["forward_model"](torch.cat([left, action], 1)) - after).square().mean(
            1
        )
    assert bonus.score(*batch) == pytest.approx(expected.numpy(), rel=1e-5)
    bonus.act(np.zeros(B, int))
    assert not np.allclose(bonus.score(*batch), expected)


def test_icm_works_on_pixels():
    bonus = visited("icm", of="pixels", times=2)
    assert bonus.score(*states(1)).shape == (B,)


def test_icm_without_a_beginning_or_actions():
    message = r"ICM needs begin\(\) with the first states and act\(\) before every step; wrap\(\) calls both"
    for steps in ((), ("begin",), ("act",)):
        bonus = ICM(ACTIONS)
        for step in steps:
            arguments = (*states(0), np.ones(B, bool)) if step == "begin" else (np.zeros(B, int),)
            getattr(bonus, step)(*arguments)
        for call in (bonus.score, bonus.update):
            with pytest.raises(ValueError, match=message):
                call(*states(0))


@pytest.mark.parametrize(
    "actions",
    [np.array([0.5, 1.0]), np.array([[0, 1], [1, 0]]), np.array([0, 3]), np.array([-1, 0])],
)
def test_icm_refuses_other_actions(actions):
    with pytest.raises(
        ValueError, match=r"ICM is for discrete actions \(B,\), here 0 to 2, got (int|float)64 \["
    ):
        ICM(ACTIONS).act(actions)


# Memory.


def test_the_ring_holds_the_newest():
    memory, stream = Memory(7), np.arange(100, dtype=np.uint8)[:, None]
    for part in np.split(stream, [3, 4, 9, 11, 18, 40, 41]):
        for start_ in range(0, len(part), 7):
            memory.add(part[start_ : start_ + 7])
            newest = np.arange(max(0, memory.seen - 7), memory.seen)
            assert sorted(memory.recent[: memory.seen].ravel()) == newest.tolist()
    assert memory.recent.dtype == np.uint8


def test_the_reservoir_holds_every_frame_with_equal_probability():
    size, total, runs, counts = 10, 60, 600, np.zeros(60)
    for seed in range(runs):
        memory, rng, done = Memory(size, seed), np.random.default_rng(10_000 + seed), 0
        while done < total:
            count = int(min(rng.integers(1, size + 1), total - done))
            memory.add(np.arange(done, done + count)[:, None])
            done += count
        assert len(np.unique(memory.reservoir)) == size
        counts[memory.reservoir.ravel()] += 1
    expected, share = runs * size / total, size / total
    chi2 = np.square(counts - expected).sum() / (expected * (1 - share)) * (total - 1) / total
    assert abs(chi2 - (total - 1)) < 4 * np.sqrt(2 * (total - 1))


def test_samples_are_half_newest_and_half_remembered():
    memory = Memory(10)
    for number in range(500):
        memory.add(np.array([[number]]))
    sample = memory.sample(2001).ravel()
    assert len(sample) == 2001
    assert set(sample[:1000]) == set(range(490, 500))
    assert set(sample[1000:]) == set(memory.reservoir.ravel())
    few = Memory(10)
    few.add(np.array([[1], [2]]))
    assert set(few.sample(50).ravel()) == {1, 2}


# Reconstruction.


def weights_of(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def differing(model, weights):
    return {
        name
        for name, weight in model.state_dict().items()
        if not torch.equal(weight, weights[name])
    }


@pytest.mark.parametrize("name", ["beta_vae", "binary_ae", "pca"])
def test_the_live_copy_learns_what_fit_would_and_the_given_model_stays(name):
    torch.manual_seed(0)
    model = MODELS[name]((8, 8, 3), latent_dim=DIM, **({} if name == "pca" else {"backbone": MLP}))
    model.decoder.requires_grad_(False)  # an agent's frozen model
    before = weights_of(model)
    bonus = ReconstructionNovelty(model, EAGER)
    for _ in range(4):
        visit(bonus, states(0))
    assert not differing(model, before)
    moved = differing(bonus.live, before)
    assert {part.split(".")[0] for part in moved} == {"encoder", "decoder"}
    assert not any(weight.requires_grad for weight in model.decoder.parameters())


def test_a_learned_sigma_keeps_learning():
    bonus = ReconstructionNovelty(tiny_model({"name": "gaussian", "learned": True}), EAGER)
    before = weights_of(bonus.live)
    for _ in range(2):
        visit(bonus, states(0))
    assert "likelihood.log_sigma" in differing(bonus.live, before)


def test_the_score_is_the_surprise_above_the_floor():
    model = tiny_model()
    bonus = ReconstructionNovelty(model, EAGER, floor=100.0)
    nats = model.pixel_nll(states(0)[0]).reshape(B, -1).sum(1)
    assert bonus.score(*states(0)) == pytest.approx(np.maximum(nats - 100, 0), rel=1e-4)
    assert not ReconstructionNovelty(model, EAGER, floor=1e6).score(*states(0)).any()


def test_latent_kl_is_added_with_its_weight():
    model = tiny_model()
    with torch.no_grad():
        for weight in model.encoder.parameters():
            weight.mul_(2)
    plain, with_kl = (
        ReconstructionNovelty(model, floor=0.0, latent_kl=weight) for weight in (0.0, 20.0)
    )
    x = model.preprocess(torch.from_numpy(states(0)[0]))
    with torch.no_grad():
        kl = model(x)[0].kl().sum(1).numpy()
    assert with_kl.score(*states(0)) - plain.score(*states(0)) == pytest.approx(20 * kl, rel=1e-2)


def test_the_usual_error_is_a_low_quantile_of_the_newest_also_after_resuming(tmp_path):
    never = Learning(learning_starts=10**9)
    bonus, stream = ReconstructionNovelty(tiny_model(), never), []
    for seed in range(5):
        visit(bonus, states(seed))
        stream.append(tiny_model().pixel_nll(states(seed)[0]).reshape(B, -1).sum(1))
    assert bonus.usual == pytest.approx(np.quantile(stream, 0.1), rel=1e-4)
    familiar = bonus.score(*states(0)) == 0
    assert familiar.any()
    assert not familiar.all()
    restored = ReconstructionNovelty(tiny_model(), never)
    restored.load_state_dict(on_disk(bonus.state_dict(), tmp_path))
    visit(bonus, states(5))
    visit(restored, states(5))
    assert restored.usual == pytest.approx(bonus.usual)
    assert bonus.metrics()["usual_nats"] == bonus.usual


def test_what_is_hard_to_draw_is_taken_off():
    model, frames = tiny_model(), np.stack([np.zeros((8, 8, 3), np.uint8), states(0)[0][0]])
    sizes = [8 * np.log(2) * len(cv2.imencode(".png", frame)[1]) for frame in frames]
    assert sizes[1] > sizes[0]
    plain, corrected = (
        ReconstructionNovelty(model, floor=-1e5, complexity=weight) for weight in (0.0, 0.5)
    )
    codes = model.encode(frames)
    lost = plain.score(frames, codes).astype(float) - corrected.score(frames, codes)
    np.testing.assert_allclose(lost, 0.5 * np.array(sizes), atol=0.1)


def test_complexity_is_that_of_images():
    with pytest.raises(ValueError, match="complexity is that of images of uint8, as PNG files"):
        ReconstructionNovelty(lrl.vae((5,), latent_dim=2), complexity=1.0)


def test_a_model_of_features_has_no_error_in_pixels():
    model = lrl.dae_beta_vae((8, 8, 3), latent_dim=2, backbone=MLP)
    with pytest.raises(
        ValueError,
        match="a 'dae_beta_vae' model measures features, and knows no likelihood of pixels",
    ):
        ReconstructionNovelty(model)


def places(seed, count, dims):
    """Vectors that lie in some of 16 dimensions."""
    x = np.zeros((count, 16), np.float32)
    x[:, dims] = np.random.default_rng(seed).standard_normal((count, len(dims)))
    return x


@pytest.mark.parametrize("learning_rate", [3e-3, 1e-12])
def test_the_bonus_of_a_region_falls_only_by_learning(learning_rate):
    learning = Learning(1000, 0, 16, 4, 32, learning_rate)
    bonus = ReconstructionNovelty(tiny_model(size=(16,)), learning, floor=-1e6)
    seen, unseen, codes = (
        places(0, 64, range(3)),
        places(1, 64, range(13, 16)),
        np.zeros((64, DIM), np.float32),
    )
    offset = (
        bonus.score(np.zeros((1, 16), np.float32), codes[:1])[0] - 20
    )  # so that differences are errors
    known, unknown = (bonus.score(x, codes).mean() - offset for x in (seen, unseen))
    for step in range(120):
        bonus.update(places(2 + step, 16, range(3)), codes[:16])
    known_later, unknown_later = (bonus.score(x, codes).mean() - offset for x in (seen, unseen))
    if learning_rate > 1e-6:
        assert known_later < 0.3 * known
        assert unknown_later > 0.7 * unknown
    else:
        assert (known_later, unknown_later) == pytest.approx((known, unknown), rel=1e-4)


def test_training_waits_for_its_start_and_keeps_its_rhythm():
    bonus = ReconstructionNovelty(
        tiny_model(), Learning(100, learning_starts=30, train_freq=12, gradient_steps=3)
    )
    steps = []
    for _ in range(10):
        visit(bonus, states(0))
        steps.append(bonus.steps)
    assert steps == [0, 0, 0, 0, 0, 3, 3, 6, 6, 9]


def test_schedules_of_the_model_are_at_their_end():
    torch.manual_seed(0)
    model = lrl.beta_vae((8, 8, 3), DIM, capacity=20.0, backbone=MLP)
    bonus, seen = ReconstructionNovelty(model, EAGER), []
    penalty = bonus.live.loss_terms[0]
    bonus.live.loss_terms[0] = lambda batch: (
        seen.append(penalty.target(batch.step)) or penalty(batch)
    )
    bonus.live.loss_terms[0].name = penalty.name
    visit(bonus, states(0))
    assert seen == [20.0] * EAGER.gradient_steps


def test_updating_unscored_frames_is_learning_too():
    bonus = ReconstructionNovelty(tiny_model(), EAGER)
    bonus.update(*states(0))
    assert bonus.steps == EAGER.gradient_steps
    assert np.isfinite(bonus.score(*states(0))).all()


def test_a_noisy_tile_pays_less_where_the_decoder_knows_its_variance():
    """Of 16 values four are noise, at one of six places; four places have never been seen."""
    shares = {}
    for likelihood in ("gaussian", "diagonal_gaussian"):
        rng = np.random.default_rng(0)
        maps, codes = (
            rng.standard_normal((10, 12)).astype(np.float32),
            np.zeros((8, DIM), np.float32),
        )

        def look(chosen, rng=rng, maps=maps):
            x = np.concatenate([np.zeros((len(chosen), 4), np.float32), maps[chosen]], 1)
            x[chosen == 0, :4] = rng.standard_normal(((chosen == 0).sum(), 4))
            return x

        bonus = ReconstructionNovelty(
            tiny_model(likelihood, (16,)), Learning(2000, 0, 16, 4, 64, 5e-3)
        )
        noise = []
        for step in range(400):
            score = visit(bonus, (look(np.array([0, 0, *rng.integers(1, 6, 6)])), codes))
            noise += [score[:2].mean()] * (step >= 300)
        unseen = bonus.score(look(rng.integers(6, 10, 8)), codes).mean()
        shares[likelihood] = np.mean(noise) / unseen
    assert shares["diagonal_gaussian"] < 0.2 * shares["gaussian"]
    assert shares["diagonal_gaussian"] < 0.01


# Misuse.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: NOVELTIES["newness"],
            "unknown novelty 'newness'; known: counts, elliptical, first_visits, icm",
        ),
        (lambda: Hasher("md5"), "unknown hash 'md5'; known: sign, grid"),
        (
            lambda: HashCounts(bits=0),
            "needs 1 to 64 bits and a positive width, got bits=0, width=1.0",
        ),
        (lambda: FirstVisits(bits=65), "got bits=65"),
        (lambda: HashCounts(width=0.0), "got bits=32, width=0.0"),
        (lambda: Elliptical(0.0), "ridge must be positive, got 0.0"),
        (lambda: Memory(0), "a memory holds at least 1 frame, got 0"),
        (lambda: RND(of="codes"), "unknown inputs 'codes'; known: latents, pixels"),
        (lambda: RND(learning_rate=0.0), "learning_rate must be positive, got 0.0"),
        (
            lambda: RND(features=0),
            r"RND needs features >= 1 and a share in \(0, 1\], got 0 and 0.25",
        ),
        (lambda: RND(share=0.0), "got 64 and 0.0"),
        (lambda: RND(share=1.5), "got 64 and 1.5"),
        (
            lambda: ICM(1),
            "ICM needs at least 2 discrete actions, .* got actions=1, features=64, inverse=0.8",
        ),
        (lambda: ICM(4, features=0), "got actions=4, features=0"),
        (lambda: ICM(4, inverse=1.0), "inverse=1.0"),
        (lambda: ICM(4, inverse=0.0), "inverse=0.0"),
        (
            lambda: ReconstructionNovelty(lrl.random((8,), DIM)),
            "a 'random' model has no decoder, and so no reconstruction error",
        ),
        (
            lambda: ReconstructionNovelty(lrl.ae((8,), DIM), latent_kl=1.0),
            "needs a model with a Gaussian code, such",
        ),
        *(
            (lambda name=name: Learning(**{name: 0}), f"{name} must be at least 1, got 0")
            for name in ("memory", "train_freq", "gradient_steps", "batch_size")
        ),
        (lambda: Learning(learning_starts=-1), "learning_starts=-1, learning_rate=0.0003"),
        (
            lambda: Learning(learning_rate=0.0),
            "learning needs .* positive learning_rate, .* learning_rate=0.0",
        ),
    ],
)
def test_misuse_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
