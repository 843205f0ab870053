"""Write the latent explorer of a trained encoder: one HTML page that opens from disk."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.explore import explore_model
from scripts.cli import run


@dataclass(frozen=True)
class ExploreConfig:
    """Write the latent explorer of a trained encoder."""

    model: Path
    """Folder of the model."""
    data: Path | None = None
    """Observations: a store, .npy, .npz, IDX (also .gz), an image, or a folder of images. Default:
    those of the pretraining."""
    out: Path | None = None
    """The file to write. Default: MODEL/latent.html."""
    device: str = "auto"
    """Device of the model; auto is the GPU where there is one."""


def main(config: ExploreConfig) -> None:
    """Write the latent explorer of a trained encoder."""
    print(explore_model(config.model, config.data, config.out, config.device))


if __name__ == "__main__":
    run(ExploreConfig, main)
