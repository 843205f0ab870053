"""Share a trained encoder or agent: model card, Hugging Face Hub, ONNX, plain SB3, a copy."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.export import share
from scripts.cli import run


@dataclass(frozen=True)
class ShareConfig:
    """Share a trained encoder or agent."""

    folder: Path
    """Folder of an encoder or of a training run."""
    card: bool = False
    """Write the model card as README.md, to edit it before an upload."""
    repo: str | None = None
    """Upload to this repository on the Hugging Face Hub, user/name."""
    private: bool = False
    """Create a private repository."""
    license: str | None = None
    """The Hub's name of a license for the card, such as mit."""
    onnx: Path | None = None
    """Write the encoder to this folder as encoder.onnx and decoder.onnx."""
    sb3: Path | None = None
    """Write the agent to this folder as agent.zip, for PPO.load and the like of SB3."""
    copy: Path | None = None
    """Copy the best agent and its encoder to this folder, without what resumes the training."""
    env: str | None = None
    """Environment of the agent, for --sb3; default: the one of training."""
    trust: bool = False
    """Import the module that the agent's folder names as its environment."""


def main(config: ShareConfig) -> None:
    """Share a trained encoder or agent: model card, Hugging Face Hub, ONNX, plain SB3, a copy."""
    for made in share(**asdict(config)):
        print(made)


if __name__ == "__main__":
    run(ShareConfig, main)
