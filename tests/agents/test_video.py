"""Videos of an agent, decoded again by PyAV and Pillow."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv
from PIL import Image

import latentrl as lrl
from agents.episode import Moment, player
from agents.venv import newest_frames
from agents.video import GAP, LAYOUTS, _panels, numbers, record_video
from envs import Environment, make_env
from envs.pixel_reach import PixelReach
from latentrl.viz.captions import caption
from tests.agents.small import REACH, save_run
from tests.helpers import same

av = pytest.importorskip("av")
SEED = 1_000_003


@pytest.fixture(scope="module")
def decoder():
    """An encoder of PixelReach with a decoder."""
    model = lrl.pca((32, 32, 3), latent_dim=4)
    env = make_env(REACH)
    frames = np.stack([env.reset(seed=seed)[0] for seed in range(40)])
    lrl.fit(model, frames, progress=False)
    return model


def decode(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        return stream.codec_context, [frame.astype(int) for frame in frames]


def test_an_mp4_shows_frame_reconstruction_and_numbers(decoder, tmp_path):
    run = save_run(tmp_path / "run", decoder)
    context, frames = decode(
        record_video(run, tmp_path / "deep" / "reach.mp4", seed=SEED, max_episode_steps=3)
    )
    assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
    width, column = 2 * 256 + GAP, LAYOUTS[".mp4"].column
    below = caption(numbers(Moment(value=0.0)), width, LAYOUTS[".mp4"].text)
    above = frames[0].shape[0] - 256 - below.shape[0]
    assert frames[0].shape == (above + 256 + below.shape[0], width, 3)
    panels, first = frames[0][above : above + 256], make_env(REACH).reset(seed=SEED)[0]
    assert np.abs(panels[4::8, 4:256:8] - first).mean() < 6
    decoded = decoder.reconstruct(first[None])[0]
    assert np.abs(panels[4::8, 256 + GAP + 4 :: 8] - decoded).mean() < 6
    assert (frames[0][:above] - 24).max() > 90, "names of the panels"
    strip, line = frames[0][above + 256 :], below.shape[0] // 2
    assert np.abs(strip[:line] - below[:line]).mean() < 4
    assert np.abs(strip[line:, :column] - below[line:, :column]).mean() < 4


def test_the_last_numbers_stay_for_a_second(decoder, tmp_path):
    run = save_run(tmp_path / "run", decoder)
    _, frames = decode(record_video(run, tmp_path / "reach.mp4", seed=SEED, max_episode_steps=3))
    fps = make_env(REACH).metadata["render_fps"]
    assert len(frames) == 3 + fps
    assert np.abs(frames[2][:250] - frames[3][:250]).mean() < 1, "the panels stay"
    column = LAYOUTS[".mp4"].column
    end = caption(
        numbers(Moment(timestep=3, value=np.nan)), frames[0].shape[1], LAYOUTS[".mp4"].text
    )
    assert np.abs(frames[-1][-len(end) :, :column] - end[:, :column]).mean() < 4


@pytest.mark.filterwarnings("ignore:.*No render fps was declared")
@pytest.mark.parametrize(("rate", "fps"), [(20.0, 20), (29.97, 30), (0.2, 1), (None, 50)])
def test_the_frame_rate_of_the_environment_may_be_any_number(
    rate, fps, encoder, tmp_path, monkeypatch
):
    monkeypatch.setitem(PixelReach.metadata, "render_fps", rate)
    run = save_run(tmp_path / "run", encoder)
    _, frames = decode(record_video(run, tmp_path / "reach.mp4", seed=SEED, max_episode_steps=3))
    assert len(frames) == 3 + fps, "the last frame stays for a second"


def test_a_gif_is_smaller(decoder, tmp_path):
    run = save_run(tmp_path / "run", decoder)
    with Image.open(record_video(run, tmp_path / "reach.gif")) as movie:
        assert movie.format == "GIF"
        assert movie.size[0] == 2 * 160 + GAP


def test_numbers_that_are_unknown_are_left_out():
    moment = Moment(timestep=1_234, total=-0.125, value=2.0)
    known = {"timestep": "1,234", "return": "-0.125", "value": "2"}
    assert numbers(moment) == known
    rest = {"timestep": "7", "return": "1", "novelty bonus": "0.25"}
    assert numbers(Moment(7, 1.0, None, 0.25)) == rest
    assert numbers(Moment(7, 1.0, np.nan, 0.25)) == rest | {"value": ""}


class DarkCart(CartPoleEnv):
    """A pole on a cart that renders nothing."""

    def render(self):
        return None


def test_videos_that_cannot_be_made(encoder, tmp_path):
    run = save_run(tmp_path / "run", encoder)
    with pytest.raises(
        ValueError,
        match=r"cannot write a video to .*drive\.txt; the name must end in \.mp4 or \.gif",
    ):
        record_video(run, tmp_path / "drive.txt")
    vectors = lrl.random((4,), latent_dim=2)
    dark = save_run(tmp_path / "dark", vectors, Environment("tests.agents.test_video:DarkCart"))
    with pytest.raises(ValueError, match="renders no rgb_array, and its observations are"):
        record_video(dark, tmp_path / "drive.mp4", trust=True)
    assert not (tmp_path / "drive.mp4").exists()


@pytest.mark.parametrize("name", ["tests.helpers:Dark", "tests.envs.test_names:Plain"])
def test_observations_stand_for_what_an_environment_does_not_render(name, tmp_path):
    small = lrl.random((16, 16, 3), latent_dim=4)
    run = save_run(tmp_path / "dark", small, Environment(name))
    building = {"seed": 0, "render_mode": "rgb_array"}
    with player(run, "best", device="cpu", trust=True, **building) as agent:
        agent.venv.reset()
        (panel,) = _panels(agent.venv, agent.encoder, LAYOUTS[".gif"])
    frame = newest_frames(agent.venv)[0]
    assert panel.shape == (160, 160, 3)
    assert same(panel[::10, ::10], frame)
