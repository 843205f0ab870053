"""Anomalies: observations that a model trained on normal ones did not expect."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from latentrl.models.autoencoder import Autoencoder
from latentrl.models.preprocessing import is_image
from latentrl.models.batches import Observations, batches, is_single
from latentrl.types import Array

ROUNDING = 1e-9


@dataclass
class AnomalyDetector:
    """Scores observations by how little a model expects them, and raises alarms above a threshold.

    Train the model on normal observations, ``calibrate`` on others of them, then ask
    ``is_anomaly``.
    """

    model: Autoencoder
    """A model with a decoder, trained on normal observations."""
    threshold: float | None = None
    """Score in nats above which an observation is an anomaly; ``calibrate`` sets it."""

    def calibrate(self, normal: Observations, false_alarm_rate: float = 0.01) -> AnomalyDetector:
        """Set the threshold for a false-alarm rate that is at most the given one, on average over
        calibrations.

        The threshold is the conformal quantile: the ceil((n + 1)(1 - rate))-th smallest of n scores
        (Vovk et al. 2005; Laxhammar & Falkman 2010).

        Args:
            normal: normal observations that the model was not trained on: an array, Frames or a
                path.
            false_alarm_rate: share of further normal observations that may raise an alarm.

        Returns:
            The detector itself.

        Raises:
            ValueError: the rate is not between 0 and 1, there are too few observations for it, or
                the model has not been fitted.
        """
        if not 0 < false_alarm_rate < 1:
            raise ValueError(f"false_alarm_rate is a share between 0 and 1, got {false_alarm_rate}")
        self.model.check_fitted()
        scores = np.sort(np.atleast_1d(self.score(normal)))
        above = math.floor((len(scores) + 1) * false_alarm_rate + ROUNDING)
        if above < 1:
            needed = math.ceil(1 / false_alarm_rate - ROUNDING) - 1
            raise ValueError(
                f"a false-alarm rate of {false_alarm_rate:g} needs at least {needed} normal observations to "
                f"calibrate, got {len(scores)}"
            )
        self.threshold = float(scores[-above])
        return self

    def score(self, observations: Observations) -> Array:
        """Return -log p(x | encode(x)) in nats of the scaled observation: high for what is not
        expected.

        It is a log density, so that normal observations may well score below 0.

        Args:
            observations: an array ``(B, *observation_shape)`` or one without ``B``, Frames or a
                path.

        Returns:
            float64 ``(B,)``, or a number for one observation.

        Raises:
            TypeError: the model has no decoder.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        return self._each(self._score, observations)

    def map(self, observations: Observations) -> Array:
        """Return where the score comes from: its parts by place, which add up to it.

        Args:
            observations: as in ``score``.

        Returns: float32 nats: per pixel ``(B, h, w)``, summed over the channels, at the size that
            the network sees; per step ``(B, T)`` of sequences, summed over their values; per value
            ``(B, D)``.

        Raises:
            TypeError: the model has no decoder.
            ValueError: shape, dtype or values do not belong to the observation space.
        """
        return self._each(self._map, observations)

    def is_anomaly(self, observations: Observations) -> Array:
        """Tell which observations score above the threshold: bool ``(B,)``.

        Raises:
            ValueError: there is no threshold yet.
        """
        if self.threshold is None:
            raise ValueError(
                "there is no threshold yet: calibrate with normal observations, or give one"
            )
        return np.asarray(self.score(observations) > self.threshold)

    def _each(self, function: Callable[[Array], Array], observations: Observations) -> Array:
        results = np.concatenate([function(batch) for batch in batches(self.model, observations)])
        return results[0] if is_single(self.model, observations) else results

    def _map(self, batch: Array) -> Array:
        surprise, space = self.model.pixel_nll(batch), self.model.observation_space
        if len(space.shape) == 3 or (len(space.shape) == 2 and not is_image(space)):
            surprise = surprise.sum(-1)
        return surprise

    def _score(self, batch: Array) -> Array:
        surprise = self.model.pixel_nll(batch)
        scores: Array = surprise.sum(tuple(range(1, surprise.ndim)), dtype=np.float64)
        return scores


def auroc(scores: Array, anomalous: Array) -> float:
    """Return the area under the ROC curve: how probably an anomaly scores above a normal
    observation.

    Ties count one half (Mann & Whitney 1947).

    Args:
        scores: ``(B,)``, high for anomalies.
        anomalous: bool or 0 and 1 ``(B,)``: which of them are.

    Returns:
        1 where all anomalies score highest, about 0.5 for guesses.

    Raises:
        ValueError: the two differ in shape, or the anomalies or the normal ones are missing.
    """
    scores, anomalous = np.asarray(scores), np.asarray(anomalous, bool)
    if scores.ndim != 1 or scores.shape != anomalous.shape:
        raise ValueError(
            f"expected one score and one label each, got shapes {scores.shape} and {anomalous.shape}"
        )
    positives, negatives = int(anomalous.sum()), int((~anomalous).sum())
    if not positives or not negatives:
        raise ValueError(
            f"AUROC needs both kinds, got {positives} anomalies and {negatives} normal observations"
        )
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float(
        (ranks[anomalous].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    )
