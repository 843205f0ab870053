"""Quality of the autoencoders, one file for each question."""

from dataclasses import dataclass

from scripts.studies.autoencoders.anomaly import anomaly
from scripts.studies.autoencoders.arithmetic import arithmetic
from scripts.studies.autoencoders.denoising import denoising
from scripts.studies.autoencoders.elbo import elbo
from scripts.studies.autoencoders.hashing import hashing
from scripts.studies.autoencoders.inpainting import inpainting
from scripts.studies.autoencoders.likelihoods import likelihoods
from scripts.studies.autoencoders.linear_subspace import linear_subspace
from scripts.studies.autoencoders.step_cost import step_cost
from scripts.studies.core import STUDIES
from scripts.studies.experiments import Experiments


@STUDIES.register("autoencoders")
@dataclass(frozen=True)
class Autoencoders(Experiments):
    """Autoencoders compared with OpenCV, scikit-learn and pythae.

    The ELBO is compared with that of [pythae](https://github.com/clementchadebec/benchmark_VAE),
    which needs a virtual environment of its own: `make reference` creates it.
    """

    name = "autoencoders"
    parts = {
        "anomaly": anomaly,
        "arithmetic": arithmetic,
        "denoising": denoising,
        "elbo": elbo,
        "hashing": hashing,
        "inpainting": inpainting,
        "likelihoods": likelihoods,
        "linear_subspace": linear_subspace,
        "step_cost": step_cost,
    }
