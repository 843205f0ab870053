"""Metrics against closed forms, scikit-learn and loops, and their scores of known latents."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any

import numpy as np
import pytest
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from latentrl.latents.disentanglement import (
    METRICS,
    _information,
    concentration,
    disentanglement_scores,
    mig,
    modularity,
    mutual_information,
)

VOTES = {"train": 3000, "test": 1500}
SIZES = {"dci": {"train": 600, "test": 300}, "factor_vae": VOTES, "beta_vae": VOTES}
SPECS = [{"name": name, **SIZES.get(name, {})} for name in METRICS]
QUICK = [spec for spec in SPECS if spec["name"] != "dci"]  # its boosted trees take seconds
NEEDS_SKLEARN = {
    "beta_vae": "linear_model",
    "dci": "ensemble",
    "infomec": "linear_model",
    "sap": "svm",
}
INFOMEC = ["infom", "infoe", "infoc"]
GRID = np.stack(np.meshgrid(range(4), range(4), range(25), indexing="ij"), -1).reshape(-1, 3)[
    :, :2
]  # all pairs, 25 times each


def draw(values: int = 4, rows: int = 900, count: int = 3) -> Any:
    return np.random.default_rng(0).integers(0, values, (rows, count))


def noise(rows: int = 900, dimensions: int = 3, seed: int = 1) -> Any:
    return np.random.default_rng(seed).standard_normal((rows, dimensions))


def scores(latents: Any, factors: Any, seed: int = 0, metrics: Any = SPECS) -> dict[str, float]:
    return disentanglement_scores(latents, factors, seed, metrics)


FACTORS = draw()
PERFECT = FACTORS[:, [2, 0, 1]] * [1.0, -3.0, 0.5] + [0, 5, -1]
NOISY = np.concatenate([FACTORS[:, ::-1] + 2 * noise(), noise(seed=2)], 1)


@pytest.fixture(scope="module")
def perfect() -> dict[str, float]:
    return scores(PERFECT, FACTORS)


@pytest.fixture(scope="module")
def noisy() -> dict[str, float]:
    return scores(NOISY, FACTORS)


def test_all_metrics_run_by_default_and_names_are_flat(perfect: dict[str, float]) -> None:
    dci = [
        f"dci_{part}"
        for part in ("disentanglement", "completeness", "informativeness", "informativeness_train")
    ]
    assert list(perfect) == ["beta_vae", *dci, "factor_vae", *INFOMEC, "mig", "modularity", "sap"]
    assert list(disentanglement_scores(noise(100), draw(2, 100))) == list(perfect)


def test_perfect_latents_score_one(perfect: dict[str, float]) -> None:
    perfect = perfect | disentanglement_scores(draw(2), draw(2), metrics=["sap"])
    assert perfect.pop("sap") == pytest.approx(
        0.5, abs=0.05
    )  # the most that two equally frequent values allow
    assert perfect == pytest.approx(dict.fromkeys(perfect, 1.0), abs=0.03)


def test_random_latents_score_by_chance() -> None:
    factors = draw(rows=3000)
    found = scores(noise(3000, 5), factors)
    chance = {
        "mig": 0,
        "sap": 0,
        "dci_disentanglement": 0,
        "dci_completeness": 0,
        "dci_informativeness": 1 / 4,
    }
    chance |= {"factor_vae": 1 / 3, "beta_vae": 1 / 3}
    assert {name: found[name] for name in chance} == pytest.approx(chance, abs=0.07)


def test_few_rows_do_not_raise_the_score_of_random_latents() -> None:
    factors = np.random.default_rng(0).integers(0, 8, (10, 300, 4))
    metrics = [spec for spec in SPECS if spec["name"] in ("factor_vae", "beta_vae")]
    found = [
        disentanglement_scores(noise(300, 10, seed), f, seed, metrics)
        for seed, f in enumerate(factors)
    ]
    for name in ("factor_vae", "beta_vae"):
        assert np.mean([score[name] for score in found]) == pytest.approx(1 / 4, abs=0.04)


def test_rotated_latents_score_lower(perfect: dict[str, float]) -> None:
    turn = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
    factors = FACTORS[:, :2]
    straight, rotated = scores(factors * 1.0, factors), scores(factors @ turn, factors)
    for name in ("mig", "dci_disentanglement", "dci_completeness", "sap"):
        assert rotated[name] < straight[name] - 0.1, name


def test_duplicated_latents_have_no_gap() -> None:
    found = scores(np.concatenate([PERFECT, PERFECT], 1), FACTORS)
    assert (found["mig"], found["sap"]) == (0, 0)
    assert found["dci_completeness"] < 0.8
    assert found["modularity"] > 0.97


def test_scores_follow_the_seed(noisy: dict[str, float]) -> None:
    again, other = (scores(NOISY, FACTORS, seed, QUICK) for seed in (0, 1))
    assert again.items() <= noisy.items()
    same = {name for name in again if again[name] == other[name]}
    assert same <= {"mig", "modularity", *INFOMEC}  # they use all 900 rows


def test_dci_follows_the_seed() -> None:
    latents, factors = noise(400, 3), draw(values=2, rows=400, count=2)
    first, again, other = (scores(latents, factors, seed, ["dci"]) for seed in (0, 0, 1))
    assert first == again
    assert all(first[name] != other[name] for name in first if not name.endswith("train"))


def test_the_order_of_the_dimensions_does_not_matter(noisy: dict[str, float]) -> None:
    found = scores(NOISY[:, [4, 2, 0, 5, 1, 3]], FACTORS, metrics=QUICK)
    assert found == pytest.approx({name: noisy[name] for name in found}, abs=0.01)


def test_mig_ignores_the_scale_of_each_dimension() -> None:
    affine = NOISY * [1, -2, 1e-6, 1e6, 3, -0.1] + [0, 1, 2, 3, 1e3, -5]
    assert mig(affine, FACTORS) == pytest.approx(mig(NOISY, FACTORS), abs=1e-9)


def test_a_constant_dimension_adds_nothing(noisy: dict[str, float]) -> None:
    found = scores(np.insert(NOISY, 2, 0.1, axis=1), FACTORS)
    assert found.pop("modularity") == pytest.approx(noisy["modularity"] * 6 / 7)
    base = np.log(6) / np.log(7)  # of the entropy over the dimensions, which are one more
    expected = noisy | {"dci_completeness": 1 - (1 - noisy["dci_completeness"]) * base}
    assert found == pytest.approx({name: expected[name] for name in found}, abs=0.01)


def test_collapsed_latents_score_zero() -> None:
    found = scores(np.full((900, 4), 0.3), FACTORS)
    assert found["beta_vae"] == pytest.approx(1 / 3, abs=0.06)
    zero = ("mig", "modularity", "sap", "dci_disentanglement", "dci_completeness", "factor_vae")
    assert {name: found[name] for name in (*zero, *INFOMEC)} == pytest.approx(
        dict.fromkeys((*zero, *INFOMEC), 0), abs=1e-6
    )


def test_classifiers_converge_on_any_scale() -> None:
    latents = NOISY * np.logspace(-4, 4, 6)
    found = scores(latents, FACTORS, metrics=QUICK)  # warnings are errors
    assert np.isfinite(list(found.values())).all()


def test_mutual_information_equals_scikit_learn() -> None:
    column = NOISY[:, 0]
    binned = np.digitize(column, np.histogram(column, 20)[1][:-1])
    information, factor_entropy = _information(NOISY, FACTORS, 0, 900, 20)
    for k, factor in enumerate(FACTORS.T):
        assert mutual_information(binned, factor) == pytest.approx(
            mutual_info_score(binned, factor)
        )
        assert information[0, k] == pytest.approx(mutual_info_score(binned, factor))
        assert factor_entropy[k] == pytest.approx(entropy(np.bincount(factor)))
    assert mutual_information(np.zeros(900), FACTORS[:, 0]) == 0


def test_mig_of_a_coarse_copy_is_half() -> None:
    fine, coarse = (
        GRID[:, 0],
        GRID[:, 0] // 2,
    )  # log 4 and log 2 nats about factor 0, nothing about factor 1
    assert mig(np.stack([fine, coarse], 1), GRID) == pytest.approx((0.5 + 0) / 2)


def test_modularity_of_a_shared_dimension_is_zero() -> None:
    both = GRID @ [4, 1]
    assert modularity(np.stack([GRID[:, 0], both], 1), GRID) == pytest.approx((1 + 0) / 2)


def test_concentration_equals_the_formula() -> None:
    importance = np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.4], [0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])
    by_hand = (
        sum(row.sum() * (1 - entropy(row, base=3)) for row in importance if row.any())
        / importance.sum()
    )
    assert concentration(importance) == pytest.approx(by_hand)
    assert concentration(np.eye(3)) == pytest.approx(1)
    assert concentration(np.ones((2, 3))) == pytest.approx(0)
    assert concentration(np.zeros((2, 3))) == 0


def test_factor_vae_equals_a_loop_over_votes(noisy: dict[str, float]) -> None:
    rng = np.random.default_rng(5)
    factors = draw(rows=4000)
    latents = factors[:, [0, 1, 2, 0]] + [2.0, 4.0, 4.0, 0.5] * noise(4000, 4)

    def vote() -> tuple[int, int]:
        k = rng.integers(3)
        alike = np.flatnonzero(factors[:, k] == factors[rng.integers(4000), k])
        batch = latents[rng.choice(alike, 64)]
        return k, int(np.argmin(batch.var(0, ddof=1) / latents.var(0, ddof=1)))

    votes = [vote() for _ in range(3000)]
    majority = [
        np.bincount([k for k, vote in votes if vote == i], minlength=3).argmax() for i in range(4)
    ]
    by_hand = np.mean([majority[i] == k for k, i in [vote() for _ in range(2000)]])
    assert 0.45 < by_hand < 0.95
    assert METRICS["factor_vae"](latents, factors) == pytest.approx(by_hand, abs=0.04)


def test_factor_vae_leaves_small_dimensions_out() -> None:
    tiny = FACTORS / np.linspace(0.1, 1, 900)[:, None] * 0.01
    latents = np.concatenate([PERFECT, tiny], 1)
    assert METRICS["factor_vae"](latents, FACTORS) == METRICS["factor_vae"](PERFECT, FACTORS)


def test_more_rows_than_points_are_subsampled() -> None:
    assert mig(NOISY, FACTORS, seed=0, points=300) != mig(NOISY, FACTORS, seed=1, points=300)
    assert mig(NOISY, FACTORS, seed=0) == pytest.approx(mig(NOISY[::-1], FACTORS[::-1], seed=1))


@pytest.mark.parametrize("name", ["dci", "sap", "factor_vae", "beta_vae"])
def test_a_value_that_a_set_lacks_is_refused(name: str) -> None:
    rare = np.c_[FACTORS, np.arange(900) == 0]
    with pytest.raises(
        ValueError, match=r"factor 3 has 1 value in [36]00 rows; drop it, or add rows with other"
    ):
        METRICS[name](NOISY, rare)


@pytest.mark.parametrize(
    ("name", "option", "least"),
    [
        *(
            (name, option, 1)
            for name in ("dci", "sap", "factor_vae", "beta_vae")
            for option in ("train", "test")
        ),
        *(
            (name, *option)
            for name in ("mig", "modularity")
            for option in (("points", 1), ("bins", 2))
        ),
        ("factor_vae", "batch", 2),
        ("beta_vae", "pairs", 1),
    ],
)
def test_sizes_are_checked(name: str, option: str, least: int) -> None:
    with pytest.raises(ValueError, match=f"{option} must be at least {least}, got {least - 1}"):
        disentanglement_scores(NOISY, FACTORS, metrics=[{"name": name, option: least - 1}])


def test_names_are_checked_before_any_metric_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METRICS._parts, "mig", lambda **_: pytest.fail("ran"))
    with pytest.raises(
        ValueError,
        match=r"unknown metric 'mg'; known: beta_vae, dci, factor_vae, infomec, mig, .*, sap",
    ):
        disentanglement_scores(NOISY, FACTORS, metrics=["mig", "mg"])
    with pytest.raises(ValueError, match="unknown metric 'mg'"):
        disentanglement_scores(NOISY, FACTORS, metrics="mg")


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ValueError, match="metric 'mig' has no 'bin'; it takes: points, bins"):
        disentanglement_scores(NOISY, FACTORS, metrics=[{"name": "mig", "bin": 3}])


@pytest.mark.parametrize("name", list(METRICS))
def test_scikit_learn_is_optional(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in NEEDS_SKLEARN.values():
        monkeypatch.setitem(sys.modules, f"sklearn.{part}", None)
    if name not in NEEDS_SKLEARN:
        assert list(disentanglement_scores(NOISY, FACTORS, metrics=[name])) == [name]
        return
    with pytest.raises(
        ImportError, match=r'this metric needs scikit-learn: pip install "latentrl\[metrics\]"'
    ):
        disentanglement_scores(NOISY, FACTORS, metrics=[name])


def test_importing_needs_no_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    spec = find_spec("latentrl.latents.disentanglement")
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(module_from_spec(spec))


def test_a_new_metric_is_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METRICS, "_parts", dict(METRICS._parts))
    METRICS.register("rows")(lambda latents, factors, seed: float(len(latents)))
    assert disentanglement_scores(NOISY, FACTORS, metrics=["rows"]) == {"rows": 900}
