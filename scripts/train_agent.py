"""Train an SB3 agent on the latents of a pretrained encoder, or on pixels."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from agents.bonuses import DEFAULT_NOVELTY
from agents.summary import describe_result
from agents.train import TrainConfig, train
from scripts.cli import run


def main(config: TrainConfig) -> None:
    """Train an SB3 agent on the latents of a pretrained encoder, or on pixels."""
    print(f"\n{describe_result(train(config))}")


if __name__ == "__main__":
    run(TrainConfig, main, bare={"--novelty": DEFAULT_NOVELTY}, joined=["--hyperparams"])
