"""ONNX: the graphs in PyTorch, and the files in ONNX Runtime, against ``encode`` and ``decode``."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from gymnasium import spaces

import latentrl as lrl
from latentrl.share import onnx
from tests.conftest import SMALL

RUNTIME = all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))
SEQUENCES = spaces.Box(-np.inf, np.inf, (10, 3), np.float32)
LARGE = lrl.Preprocessing(crop=(0, 12, 0, 0), size=(64, 64), greyscale=True)
SPATIAL = {"name": "spatial", "channels": (8, 8)}
MODELS = {
    "conv": lambda: lrl.beta_vae((32, 32, 3), latent_dim=6, backbone=SMALL),
    "spatial": lambda: lrl.beta_vae(
        (96, 96, 3), latent_dim=128, backbone=SPATIAL, preprocessing=LARGE
    ),
    "mlp": lambda: lrl.vae((8,), latent_dim=4),
    "linear": lambda: lrl.pca((16, 16), latent_dim=4),
    "recurrent": lambda: lrl.ae(SEQUENCES, latent_dim=4, backbone={"name": "recurrent"}),
    "fsq": lambda: lrl.fsq_ae((32, 32, 3), latent_dim=4, backbone=SMALL),
    "codebook": lambda: lrl.qlae((32, 32, 3), latent_dim=4, backbone=SMALL),
    "binary": lambda: lrl.binary_ae((32, 32, 3), latent_dim=4, backbone=SMALL),
}


def model_and_observations(kind, count=5):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    space, rng = model.observation_space, np.random.default_rng(0)
    if space.dtype == np.uint8:
        return model, rng.integers(0, 256, (count, *space.shape), dtype=np.uint8)
    observations = rng.normal(5, 2, (count, *space.shape)).astype(np.float32)
    model.preprocess.fit(observations)
    return model, observations


def check(model, observations, latents, decoded):
    expected = model.encode(observations)
    assert latents.dtype == np.float32
    np.testing.assert_allclose(latents, expected, atol=1e-4)
    own = model.decode(expected)
    assert decoded.dtype == own.dtype
    # An integer may be rounded to the other side where the value lies between two.
    atol = 1 if own.dtype == np.uint8 else 1e-4
    np.testing.assert_allclose(decoded.astype(float), own.astype(float), atol=atol)
    assert (np.abs(decoded.astype(float) - own) > 1e-4).mean() < 1e-3


@pytest.mark.parametrize("kind", MODELS)
@torch.inference_mode()
def test_the_graphs_equal_the_model(kind):
    model, observations = model_and_observations(kind)
    latents = onnx.Encode(model).eval()(torch.from_numpy(observations))
    decoded = onnx.Decode(model).eval()(torch.from_numpy(model.encode(observations)))
    check(model, observations, latents.numpy(), decoded.numpy())


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    ("before", "after"), [((84, 96), (64, 64)), ((210, 160), (84, 84)), ((64, 70), (64, 33))]
)
def test_the_resize_equals_the_kernel_bit_for_bit(before, after, channels):
    space = spaces.Box(0, 255, (*before, channels), np.uint8)
    images = np.random.default_rng(0).integers(0, 256, (3, *space.shape), dtype=np.uint8)
    config = lrl.Preprocessing(size=after)
    results = [
        kind(space, config).resize(torch.from_numpy(images)).float()
        for kind in (onnx.ImagePreprocessor, onnx.MatrixResize)
    ]
    assert torch.equal(*results)


@pytest.mark.parametrize(
    ("dtype", "high"), [(np.float32, 1.0), (np.uint16, 65535), (np.uint8, 255)]
)
def test_other_images_are_resized_within_one_unit(dtype, high):
    space = spaces.Box(0, high, (20, 24, 2), dtype)
    space.seed(0)
    images = torch.from_numpy(np.stack([space.sample() for _ in range(3)]))
    config = lrl.Preprocessing(size=(32, 16) if dtype == np.uint8 else (16, 16))
    expected = onnx.ImagePreprocessor(space, config).resize(images).double()
    found = onnx.MatrixResize(space, config).resize(images).double()
    assert (found - expected).abs().max() <= (1e-5 if dtype == np.float32 else 1)
    if dtype != np.float32:  # PyTorch's sums in float32 round a few to the other side
        assert (found != expected).double().mean() < 0.05


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'latentrl\[onnx\]'"):
        onnx.export_onnx(MODELS["linear"](), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.skipif(not RUNTIME, reason="onnx, onnxscript or onnxruntime is not installed")
@pytest.mark.parametrize("kind", MODELS)
def test_the_files_equal_the_model_in_onnx_runtime(kind, tmp_path):
    import onnxruntime

    model, observations = model_and_observations(kind)
    files = onnx.export_onnx(model, tmp_path)
    assert [file.name for file in files] == ["encoder.onnx", "decoder.onnx"]
    encoder, decoder = (onnxruntime.InferenceSession(str(file)) for file in files)
    for batch in (observations, observations[:1]):
        latents = encoder.run(None, {"observations": batch})[0]
        decoded = decoder.run(None, {"latents": model.encode(batch)})[0]
        check(model, batch, latents, decoded)


@pytest.mark.slow
@pytest.mark.skipif(not RUNTIME, reason="onnx, onnxscript or onnxruntime is not installed")
def test_a_network_for_one_size_of_the_batch_is_refused(tmp_path):
    class Fixed(torch.nn.Module):
        name, inputs, outputs = "encoder", "observations", "latents"
        example = np.zeros((onnx.EXAMPLES, 4), np.float32)

        def forward(self, x):
            return x + torch.arange(onnx.EXAMPLES * 4.0).reshape(onnx.EXAMPLES, 4)

    with pytest.raises(ValueError, match="works for batches of 2 alone"):
        onnx._export(Fixed(), tmp_path / "encoder.onnx")
