"""Write the latent explorer of an encoder or an agent: one HTML page that opens from disk."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.explore import explore_model
from scripts.cli import run


@dataclass(frozen=True)
class ExploreConfig:
    """Write the latent explorer of a trained encoder, or of an agent's."""

    model: Path | None = None
    """Folder of the model, or hf://user/name on the Hugging Face Hub, which needs --data and
    --out; if not given, the encoder of --agent."""
    agent: Path | None = None
    """Folder of a training run: its agent plays the episode, with value, novelty bonus, action and
    reward."""
    env: str | None = None
    """Environment in which --agent plays; by default its own, whose module is imported only if this
    names it again."""
    data: Path | None = None
    """Observations: a store, .npy, .npz, IDX (also .gz), an image, or a folder of images. Default:
    those of the pretraining, or without --model those that the agent visits."""
    out: Path | None = None
    """The file to write. Default: latent.html in the folder of the model, or of the agent."""
    device: str = "auto"
    """Device of the model; auto is the GPU where there is one."""
    trust: bool = False
    """Import the module that the agent's folder names as its environment."""


def main(config: ExploreConfig) -> None:
    """Write the latent explorer of a trained encoder, or of an agent's."""
    print(
        explore_model(
            config.model,
            config.data,
            config.out,
            config.device,
            config.agent,
            env=config.env,
            trust=config.trust,
        )
    )


if __name__ == "__main__":
    run(ExploreConfig, main)
