"""Anomaly detection: observations with a low density under a model of normal ones."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from latentrl.latents.batched import batched
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations
from latentrl.models.preprocessing import is_image
from latentrl.types import Array

ROUNDING = 1e-9
"""Tolerance of products of counts and rates: 100 * 0.29 is 28.999999999999996."""


@dataclass
class AnomalyDetector:
    """Scores observations by their negative log-likelihood and flags those above a threshold.

    Train the model on normal observations, then ``calibrate`` on held-out normal observations.
    """

    model: Autoencoder
    """A model with a decoder, trained on normal observations."""
    threshold: float | None = None
    """Score in nats above which an observation is an anomaly; ``calibrate`` sets it."""

    def calibrate(self, normal: Observations, false_alarm_rate: float = 0.01) -> AnomalyDetector:
        """Set the threshold to the conformal quantile of the scores of normal observations.

        It is the ceil((n + 1)(1 - rate))-th smallest of n scores (Vovk et al. 2005; Laxhammar &
        Falkman 2010). On average over calibrations, the false-alarm rate is then at most the given
        one.

        Args:
            normal: held-out normal observations, which the model was not trained on: an array,
                Frames or a path.
            false_alarm_rate: fraction of further normal observations that may be flagged.

        Returns:
            The detector itself.

        Raises:
            ValueError: the rate is not between 0 and 1, there are too few observations for it, or
                the model has not been fitted.
        """
        if not 0 < false_alarm_rate < 1:
            raise ValueError(f"false_alarm_rate must lie between 0 and 1, got {false_alarm_rate}")
        self.model.check_fitted()
        scores = np.sort(np.atleast_1d(self.score(normal)))
        # A new normal score falls into each of the n + 1 gaps between n scores with equal
        # probability. An alarm is a score in one of the highest ``above`` gaps.
        above = math.floor((len(scores) + 1) * false_alarm_rate + ROUNDING)
        if above < 1:
            needed = math.ceil(1 / false_alarm_rate - ROUNDING) - 1
            raise ValueError(
                f"a false-alarm rate of {false_alarm_rate:g} needs at least {needed} normal "
                f"observations to calibrate, got {len(scores)}"
            )
        self.threshold = float(scores[-above])
        return self

    def score(self, observations: Observations) -> Array:
        """Negative log-likelihood of each observation given its own latent, in nats.

        It is -log p(x | z) at the posterior mean z, a density of the scaled observation, so that
        normal observations can score below 0.

        Args:
            observations: an array ``(B, *observation_shape)`` or one without ``B``, Frames or a
                path.

        Returns:
            float64 ``(B,)``, or a number for one observation.

        Raises:
            TypeError: the model has no decoder.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        return batched(self.model, self._score, observations)

    def map(self, observations: Observations) -> Array:
        """Contribution of each position to the score, in nats; they add up to it.

        Args:
            observations: as in ``score``.

        Returns:
            float32: per pixel ``(B, h, w)``, summed over the channels, at the input size of the
            network; per step ``(B, T)`` of sequences, summed over their values; per value
            ``(B, D)`` of vectors.

        Raises:
            TypeError: the model has no decoder.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        return batched(self.model, self._map, observations)

    def is_anomaly(self, observations: Observations) -> Array:
        """Whether each observation scores above the threshold, bool ``(B,)``.

        Raises:
            ValueError: there is no threshold yet.
        """
        if self.threshold is None:
            raise ValueError(
                "the detector has no threshold: calibrate it with normal observations, or set one"
            )
        return np.asarray(self.score(observations) > self.threshold)

    def _map(self, batch: Array) -> Array:
        nll = self.model.pixel_nll(batch)
        space = self.model.observation_space
        if len(space.shape) == 3 or (len(space.shape) == 2 and not is_image(space)):
            nll = nll.sum(-1)
        return nll

    def _score(self, batch: Array) -> Array:
        nll = self.model.pixel_nll(batch)
        # float64: ten thousand float32 terms of either sign lose the digits in which scores differ.
        scores: Array = nll.sum(tuple(range(1, nll.ndim)), dtype=np.float64)
        return scores


def auroc(scores: Array, anomalous: Array) -> float:
    """Area under the ROC curve.

    It is the probability that an anomaly scores above a normal observation; ties count one half
    (Mann & Whitney 1947).

    Args:
        scores: ``(B,)``, high for anomalies.
        anomalous: labels ``(B,)``: bool, or 1 for an anomaly and 0 for a normal observation.

    Returns:
        1 if all anomalies score highest, about 0.5 for random scores.

    Raises:
        ValueError: the shapes differ, or there are no anomalies or no normal observations.
    """
    scores = np.asarray(scores)
    anomalous = np.asarray(anomalous, bool)
    if scores.ndim != 1 or scores.shape != anomalous.shape:
        raise ValueError(
            f"expected one score and one label each, got shapes {scores.shape} and "
            f"{anomalous.shape}"
        )
    positives = int(anomalous.sum())
    negatives = len(anomalous) - positives
    if not positives or not negatives:
        raise ValueError(
            f"AUROC needs both kinds, got {positives} anomalies and {negatives} normal observations"
        )
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # equal scores share their mean rank
    # U of Mann & Whitney: the rank sum less its lowest possible value, 1 + 2 + ... + positives.
    pairs = ranks[anomalous].sum() - positives * (positives + 1) / 2
    return float(pairs / (positives * negatives))
