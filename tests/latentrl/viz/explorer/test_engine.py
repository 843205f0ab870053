"""``engine.js`` in Node against the modules of PyTorch that its layers describe."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import latentrl as lrl
from latentrl.models.backbones.base import Offset, UnitLinear
from latentrl.models.backbones.linear import SigmoidLayer
from latentrl.models.backbones.spatial import ResidualBlock
from latentrl.models.builder import MODELS
from latentrl.viz.explorer import layers as explorer_layers
from latentrl.viz.explorer.encoding import to_json
from latentrl.viz.explorer.layers import (
    LAYERS,
    UnsupportedLayer,
    decoder_layers,
    encoder_layers,
    layers_of,
)

NODE = shutil.which("node")
ENGINE = Path(explorer_layers.__file__).with_name("engine.js")
DRIVER = """
const jobs = withTensors(JSON.parse(require('fs').readFileSync(0, 'utf8')));
const outputs = jobs.map(({ layers, x }) => runLayers(layers, x));
console.log(JSON.stringify(outputs.map(({ data, shape }) => ({ data: [...data], shape }))));
"""
needs_node = pytest.mark.skipif(NODE is None, reason="needs Node")


def run_engine(jobs: list[dict[str, Any]], half: bool = False) -> list[Any]:
    """Outputs of the engine for jobs of ``layers`` and ``x``."""
    assert NODE is not None
    script = ENGINE.read_text(encoding="utf-8") + DRIVER
    text = to_json(jobs, half)
    done = subprocess.run([NODE, "-e", script], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [np.reshape(out["data"], out["shape"]) for out in json.loads(done.stdout)]


MODULES: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "linear": (nn.Linear(5, 3), (5,)),
    "without a bias": (nn.Linear(5, 3, bias=False), (5,)),
    "unit columns": (UnitLinear(5, 3), (5,)),
    "convolution": (nn.Conv2d(2, 3, 4, 2, 1), (2, 9, 6)),
    "convolution of two strides": (nn.Conv2d(2, 3, (3, 2), (1, 3), (2, 0)), (2, 5, 8)),
    "1 x 1": (nn.Conv2d(2, 3, 1), (2, 3, 4)),
    "transposed": (nn.ConvTranspose2d(2, 3, 4, 2, 1), (2, 3, 5)),
    "transposed, odd sizes": (
        nn.ConvTranspose2d(2, 3, 4, 2, 1, output_padding=(1, 0)),
        (2, 3, 5),
    ),
    "transposed of two strides": (nn.ConvTranspose2d(2, 3, (2, 3), (3, 1), (0, 2)), (2, 4, 5)),
    "patches": (nn.ConvTranspose2d(2, 3, 4, 4), (2, 3, 2)),
    "reshape": (nn.Sequential(nn.Unflatten(1, (2, 3, 1)), nn.Flatten()), (6,)),
    "residual": (ResidualBlock(3), (3, 4, 5)),
    "sigmoid layer": (SigmoidLayer(12, 4), (2, 3, 2)),
    "activations": (
        nn.Sequential(nn.GELU(), nn.Tanh(), nn.SiLU(), nn.Identity(), nn.ReLU(), nn.Sigmoid()),
        (50,),
    ),
    "gelu": (nn.GELU(), (50,)),
    "offset": (Offset((2, 3)), (2, 3)),
}


@needs_node
def test_every_kind_of_layer_computes_what_its_module_does() -> None:
    torch.manual_seed(0)
    offset = MODULES["offset"][0]
    assert isinstance(offset, Offset)
    offset.offset.copy_(torch.randn(2, 3))
    covered = {type(part) for module, _ in MODULES.values() for part in module.modules()}
    assert set(LAYERS) <= covered
    inputs = [3 * torch.randn(shape) for _, shape in MODULES.values()]
    jobs = [
        {"layers": layers_of(module), "x": x.numpy()}
        for (module, _), x in zip(MODULES.values(), inputs, strict=True)
    ]
    with torch.no_grad():
        expected = [m(x[None])[0] for (m, _), x in zip(MODULES.values(), inputs, strict=True)]
    for name, output, wanted in zip(MODULES, run_engine(jobs), expected, strict=True):
        assert output.shape == wanted.shape, name
        np.testing.assert_allclose(output, wanted.numpy(), atol=2e-6, err_msg=name)


def parametrised(make: Any, shape: tuple[int, ...], **options: Any) -> Any:
    return lambda: make(shape, **options)


CASES: dict[str, Any] = {
    **{name: parametrised(MODELS[name], (16, 16, 3)) for name in MODELS if name != "random"},
    "odd sizes": lambda: lrl.beta_vae((20, 18, 3), latent_dim=5),
    "spatial": lambda: lrl.vae((20, 18, 3), latent_dim=3 * 90, backbone={"name": "spatial"}),
    "patches": lambda: lrl.vae((16, 24), latent_dim=12, backbone={"name": "patches"}),
    "mlp": lambda: lrl.vae((8, 8), latent_dim=3, backbone={"name": "mlp", "hidden": [9]}),
    "two outputs per value": lambda: lrl.vae((8, 8, 3), likelihood="diagonal_gaussian"),
}
NO_ENCODER = {"qlae"}
"""Models whose head the page does not have."""


@needs_node
@pytest.mark.parametrize("name", CASES)
def test_networks_of_every_model_equal_those_of_the_model(name: str) -> None:
    torch.manual_seed(1)
    model = CASES[name]()
    z = torch.randn(1, model.latent_dim)
    x = torch.rand(1, *model.preprocess.shape)
    with torch.no_grad():
        mean = model.likelihood.mean(model.require_decoder()(z))[0].numpy()
        latent = model.head(model.encoder(x)).mean[0].numpy()
    jobs = [{"layers": decoder_layers(model), "x": z[0].numpy()}]
    if name in NO_ENCODER:
        with pytest.raises(UnsupportedLayer, match="the head Codebook"):
            encoder_layers(model)
    else:
        jobs.append({"layers": encoder_layers(model), "x": x[0].numpy()})
    for output, expected in zip(run_engine(jobs), (mean, latent), strict=False):
        np.testing.assert_allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("module", "part"),
    [
        (nn.GRU(2, 3), "GRU"),
        (nn.Conv2d(2, 4, 3, groups=2), "Conv2d with groups"),
        (nn.Conv2d(2, 4, 3, padding="same"), "named padding"),
        (nn.ConvTranspose2d(2, 4, 3, dilation=2), "dilation"),
        (nn.Flatten(2), "Flatten of some axes"),
        (nn.Unflatten(2, (1, 2)), "Unflatten"),
        (nn.GELU("tanh"), "approximate GELU"),
    ],
)
def test_a_module_without_a_layer_is_named(module: nn.Module, part: str) -> None:
    with pytest.raises(UnsupportedLayer, match=part):
        layers_of(nn.Sequential(module))


@needs_node
def test_float16_is_read_bit_by_bit() -> None:
    every = np.arange(0, 65536, 7, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].astype(np.float32)
    (output,) = run_engine([{"layers": [], "x": finite}], half=True)
    assert np.array_equal(output, finite)
