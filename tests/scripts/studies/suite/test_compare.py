"""Comparison of agents on one environment of a user."""

from __future__ import annotations

import pytest

from scripts.studies.suite import subject
from scripts.studies.suite.compare import Compare

REACH = "PixelReach-v0"


@pytest.fixture
def compare(tmp_path):
    return lambda **flags: Compare(env=REACH, out=tmp_path / "out", **flags)


@pytest.fixture
def performed(monkeypatch):
    """The runs that the comparison performs, none of them really."""
    calls = []

    def each(function, arguments, jobs):
        calls.extend(arguments)
        return [(one, 0) for one in arguments]

    monkeypatch.setattr(subject, "each_in_a_process", each)
    return calls


def test_latents_and_all_controls_have_each_seed_and_random_actions_one(compare):
    runs = list(compare(bonus=("rnd", "none")).runs())
    first = ["latents", "pixels", "random_encoder", "random_actions"]
    bonuses = ["latents+rnd", "latents+none"]
    assert [(run.arm, run.seed) for run in runs] == [
        *((arm, 0) for arm in first + bonuses),
        *((arm, 1) for arm in first[:3] + bonuses),
    ]
    assert len({run.result for run in runs} | {run.folder for run in runs}) == 2 * len(runs)
    assert all(run.folder.is_absolute() for run in Compare(env="ALE/Pong-v5").runs())


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"arm": ("vae",)}, "unknown arm 'vae'; known: random_actions, latents, pixels"),
        ({"bonus": ("nope",)}, "unknown bonus 'nope'; known: .*rnd.*, none"),
        ({"seeds": 0}, "seeds must be at least 1, got 0"),
        ({"minutes": 0.0}, "minutes must be above 0, got 0"),
    ],
)
def test_flags_are_checked_before_work(compare, performed, flags, message):
    with pytest.raises(ValueError, match=message):
        compare(**flags).run()
    assert performed == []


def test_the_environment_is_made_before_work(performed):
    with pytest.raises(ValueError, match=r"`NoSuchThing` doesn't exist.*--plugin MODULE"):
        Compare(env="NoSuchThing-v0").run()
    assert performed == []


def test_observations_are_images(performed):
    with pytest.raises(
        ValueError, match=r"needs images, the observations of CartPole-v1 are \(4,\)"
    ):
        Compare(env="CartPole-v1").run()
    assert performed == []


def test_runs_of_other_minutes_are_named_before_work(compare, finished, performed):
    with pytest.raises(ValueError, match=r"out has runs of 8 minutes, not 4: choose another --out"):
        compare(minutes=4.0, seeds=3).run()
    assert performed == []


def test_there_are_colours_for_any_number_of_bonuses(compare, write):
    many = ("rnd", "icm", "counts", "elliptical", "simhash", "token_counts", "adaptive", "none")
    for run in compare(bonus=many, seeds=1).runs():
        write(REACH, run.arm, run.seed, run=run)
    assert compare(bonus=many, seeds=1).write_page().is_file()


@pytest.fixture
def finished(compare, write):
    """Latents that end at 5 and 6, pixels at 1 and 1.5, a random encoder at 5 and 6."""
    finals = {"latents": 5.0, "pixels": 1.0, "random_encoder": 5.0, "latents+rnd": 9.0}
    for run in compare(bonus=("rnd",)).runs():
        write(REACH, run.arm, run.seed, finals.get(run.arm, 0.0) + run.seed, run=run)


def test_the_page_says_what_is_ahead(compare, finished):
    page = compare(bonus=("rnd",)).write_page()
    text = page.read_text()
    assert "- at equal time, latents are ahead of pixels: 4 (3 to 5)\n" in text
    assert (
        "- at equal time, latents show no clear difference from random encoder: 0 (-1 to 1)" in text
    )
    assert "- at equal time, latents are behind latents+rnd: -4 (-5 to -3)\n" in text
    assert "- pretraining took 60 s of each run, on 1,000 frames" in text
    assert "little time left" not in text
    assert "- explained variance of changing pixels of the encoder: 0.7" in text
    assert "| latents | 5.5 | 5 / 6 | 48,000 |  |  |" in text
    assert "| random actions | 0 | 0 |  |  |  |" in text
    for axis in ("seconds", "env_frames"):
        assert f"({axis}.png)" in text
        assert (page.parent / f"{axis}.png").is_file()


def test_a_finished_comparison_prints_its_result(compare, finished, performed, capsys):
    compare().run()
    assert performed == []
    out = capsys.readouterr().out
    assert "at equal time, latents are ahead of pixels" in out
    assert "latents+rnd" not in out
    assert out.endswith("comparison.md\n")


def test_a_pretraining_that_leaves_no_time_is_named(compare, write):
    for run in compare(seeds=1, minutes=1.5).runs():
        write(REACH, run.arm, run.seed, minutes=1.5, run=run)
    hint = "latents had little time left to learn: compare with more --minutes"
    assert hint in compare(seeds=1, minutes=1.5).write_page().read_text()


def test_no_results(compare, tmp_path):
    with pytest.raises(ValueError, match=r"no results in .*out: run this command without --page"):
        compare().write_page()
