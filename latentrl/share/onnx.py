"""Encoders and decoders in ONNX, which runs without PyTorch and in other languages."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional as F

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import ImagePreprocessor, Preprocessing
from latentrl.models.vectors import Preprocessor
from latentrl.utils.io import write_atomically

OPSET = 20
EXAMPLES = 2
"""Rows of the batch that is traced; a batch of one would make the size of the batch a constant."""
LARGEST_WEIGHT, MOST_BITS = 2**15, 22
"""Limits of the integer weights in PyTorch's resize of uint8 images."""


def export_onnx(model: Autoencoder, path: str | Path) -> list[Path]:
    """Write ``encoder.onnx`` and, where the model has a decoder, ``decoder.onnx``.

    The encoder maps ``observations`` ``(B, *observation_shape)`` in the environment's units and
    dtype to ``latents`` ``(B, latent_dim)``, float32. The decoder maps ``latents`` to
    ``observations`` of ``preprocess.output_space``. The graphs crop, resize and scale, too.

    Args:
        model: a fitted model.
        path: folder of the files.

    Returns:
        The files.

    Raises:
        ImportError: onnx or onnxscript is missing.
        ValueError: a network works for one size of the batch alone.
        OSError: the files cannot be written.
    """
    if any(importlib.util.find_spec(package) is None for package in ("onnx", "onnxscript")):
        raise ImportError("ONNX needs onnx and onnxscript: pip install 'latentrl[onnx]'")
    networks = [Encode(model)] if model.decoder is None else [Encode(model), Decode(model)]
    return [_export(network, Path(path) / f"{network.name}.onnx") for network in networks]


class Encode(nn.Module):
    """``Autoencoder.encode`` as a graph of tensors."""

    name, inputs, outputs = "encoder", "observations", "latents"

    def __init__(self, model: Autoencoder) -> None:
        """Copy the encoder of ``model`` to the CPU."""
        super().__init__()
        model = copy.deepcopy(model).cpu()
        self.preprocess = _without_kernels(model)
        self.encoder, self.head = model.encoder, model.head
        self.example = np.zeros(
            (EXAMPLES, *model.observation_space.shape), model.observation_space.dtype
        )

    def forward(self, observations: Tensor) -> Tensor:
        """Return the latents of observations, ``(B, latent_dim)``."""
        latents: Tensor = self.head(self.encoder(self.preprocess(observations))).mean.float()
        return latents


class Decode(nn.Module):
    """``Autoencoder.decode`` as a graph of tensors."""

    name, inputs, outputs = "decoder", "latents", "observations"

    def __init__(self, model: Autoencoder) -> None:
        """Copy the decoder of ``model`` to the CPU."""
        super().__init__()
        self.model = copy.deepcopy(model).cpu()
        self.example = np.zeros((EXAMPLES, model.latent_dim), np.float32)

    def forward(self, latents: Tensor) -> Tensor:
        """Return the decoder's mean in the environment's units and dtype."""
        return self.model._decode(latents)


class MatrixResize(ImagePreprocessor):
    """The preprocessing of images with each resize as a product with a matrix per axis.

    ONNX has an antialiased resize too, but it rounds in other places than PyTorch. Where images of
    uint8 shrink, the products equal PyTorch's kernel for the CPU bit for bit: it multiplies by
    integers of up to 15 bits and shifts the sum.
    """

    def __init__(self, space: spaces.Box, config: Preprocessing) -> None:
        """Compute the matrices; errors as in ``ImagePreprocessor``."""
        super().__init__(space, config)
        height = len(range(space.shape[0])[self.rows])
        width = len(range(space.shape[1])[self.columns])
        self.exact = space.dtype == np.uint8 and self.size[0] <= height and self.size[1] <= width
        for axis, before, after in ((3, width, self.size[1]), (2, height, self.size[0])):
            weights = _weights(before, after, self.exact) if before != after else None
            self.register_buffer(f"weights_{axis}", weights, persistent=False)

    def _interpolate(self, x: Tensor) -> Tensor:
        x = x.double()  # which holds the products of integers exactly
        for axis in (3, 2):
            weights = getattr(self, f"weights_{axis}")
            if weights is not None:
                x = (x.movedim(axis, 3) @ weights.T).movedim(3, axis)
                x = (x + 0.5).floor() if self.integral else x
        return x.clamp(0, 255) if self.exact else x.float()


def _weights(before: int, after: int, exact: bool) -> Tensor:
    """Return what each pixel adds to each pixel of the result, float64 ``(after, before)``."""
    unit = torch.eye(before, dtype=torch.float64)[None, None]
    weights = F.interpolate(unit, (after, before), mode="bilinear", antialias=True)[0, 0]
    if not exact:
        return weights
    bits = 0
    while bits < MOST_BITS and int(weights.max() * 2 ** (bits + 1) + 0.5) < LARGEST_WEIGHT:
        bits += 1
    rounded: Tensor = (weights * 2**bits + 0.5).floor() / 2**bits
    return rounded


def _without_kernels(model: Autoencoder) -> Preprocessor:
    own = model.preprocess
    if not isinstance(own, ImagePreprocessor) or not own.resizes:
        return own
    portable = MatrixResize(model.observation_space, own.config)
    portable.load_state_dict(own.state_dict())
    return portable


def _export(network: Any, path: Path) -> Path:
    batch = ({0: torch.export.Dim("batch")},)
    with _quiet():
        program = torch.onnx.export(
            network.eval(),
            (torch.from_numpy(network.example),),
            input_names=[network.inputs],
            output_names=[network.outputs],
            opset_version=OPSET,
            dynamic_shapes=batch,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    shape: Any = program.model.graph.inputs[0].shape
    if isinstance(shape[0], int):
        raise ValueError(
            f"the {network.name} cannot be exported: a component of its own works for batches of "
            f"{EXAMPLES} alone; compute with the sizes of its inputs there, or with expand"
        )
    # In one file: weights beside the graph would be lost with a renamed or copied file.
    write_atomically(path, lambda temporary: program.save(temporary, external_data=False))
    return path


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what the exporter says of PyTorch's own code and of packages that nothing here uses."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
