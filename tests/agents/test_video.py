from __future__ import annotations

import pytest

import agents.video
import latentrl as lrl
from agents.play import actor
from agents.video import record_video
from envs import Environment
from tests.agents.small import save_run, store_validation


@pytest.mark.parametrize("name", ["drive.gif", "deep/drive.mp4"])
def test_videos(name, encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    file = record_video(run, tmp_path / name)
    head = file.read_bytes()[:8]
    assert head[:3] == b"GIF" if name.endswith("gif") else head[4:] == b"ftyp"


@pytest.mark.parametrize(("flag", "deterministic"), [(None, False), (True, True), (False, False)])
def test_a_video_has_the_better_policy_in_validation(
    flag, deterministic, encoder, tmp_path, monkeypatch
):
    run = save_run(tmp_path / "run", encoder)
    store_validation(run, returns=[1.0], lengths=[2], policy="stochastic")
    chosen = []
    monkeypatch.setattr(
        agents.video, "actor", lambda *arguments: chosen.append(arguments[1]) or actor(*arguments)
    )
    record_video(run, tmp_path / "drive.gif", deterministic=flag)
    assert chosen == [deterministic]


def test_videos_that_cannot_be_made(encoder, tmp_path, capfd):
    run = save_run(tmp_path / "run", encoder)
    with pytest.raises(
        ValueError,
        match=r"cannot write a video to .*drive\.txt; the name must end in \.mp4 or \.gif",
    ):
        record_video(run, tmp_path / "drive.txt")
    small = lrl.random((16, 16, 3), latent_dim=4)
    dark = save_run(tmp_path / "dark", small, Environment("tests.helpers:Dark"))
    with pytest.raises(ValueError, match="renders no rgb_array, so there is nothing to record"):
        record_video(dark, tmp_path / "drive.mp4", trust=True)
