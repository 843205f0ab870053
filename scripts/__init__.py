"""Command lines. What they do is in ``agents`` and ``latentrl``."""

import os

# As in ``agents``: a script imports one of both before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
