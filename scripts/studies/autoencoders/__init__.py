"""Quality of the autoencoders, one file for each question."""

from dataclasses import dataclass

from scripts.studies.autoencoders import (
    anomaly,
    arithmetic,
    denoising,
    elbo,
    hashing,
    inpainting,
    likelihoods,
    linear_subspace,
    quantised,
    step_cost,
)
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
        "anomaly_digits": anomaly.study_of_digits,
        "anomaly_mnist": anomaly.study_of_mnist,
        "anomaly_vectors": anomaly.study_of_vectors,
        "arithmetic": arithmetic.study,
        "denoising": denoising.study,
        "elbo": elbo.study,
        "hashing": hashing.study,
        "inpainting": inpainting.study,
        "likelihoods": likelihoods.study,
        "linear_subspace": linear_subspace.study,
        "quantised": quantised.study,
        "step_cost": step_cost.study,
    }
