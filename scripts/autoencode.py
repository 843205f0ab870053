"""Use a trained autoencoder: the command ``latentrl`` from a checkout."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from latentrl.cli.__main__ import main

if __name__ == "__main__":
    main()
