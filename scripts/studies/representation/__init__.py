"""Quality of the representation: what a linear classifier reads from latents."""

from dataclasses import dataclass

from scripts.studies.core import STUDIES
from scripts.studies.experiments import Experiments
from scripts.studies.representation import linear_probe


@STUDIES.register("linear_probe")
@dataclass(frozen=True)
class LinearProbe(Experiments):
    """Linear probe of latents.

    A linear probe (Alain & Bengio 2016, arXiv:1610.01644) measures which properties of an
    observation a linear classifier can read from its latent.
    """

    name = "linear_probe"
    parts = {"minigrid": linear_probe.study}
