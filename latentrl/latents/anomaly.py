"""Anomaly detection: observations far from normal ones, or badly reconstructed."""

from __future__ import annotations

import copy
import math
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces

from latentrl.data.columns import check_columns
from latentrl.data.frames import Frames, as_frames, check_learnable
from latentrl.latents import detector_files
from latentrl.latents.batched import batched
from latentrl.latents.conformal import check_enough, conformal_threshold, needed_for
from latentrl.latents.estimator import OutlierEstimator, as_observations, as_vectors
from latentrl.latents.neighbours import References
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.batches import Observations
from latentrl.models.deterministic import ae
from latentrl.models.preprocessing import is_image
from latentrl.training.config import FitConfig
from latentrl.training.fit import fit
from latentrl.types import Array, shorten

CALIBRATION = 0.2
"""Fraction of the observations of ``fit`` that set the threshold, or more where it needs more."""
COMPRESSION, VECTOR_COMPRESSION, MAX_LATENTS = 8, 2, 32
"""Values per latent of the default model, those of vectors, and most latents."""
STEPS = 2000
"""Gradient steps of the default training."""


@dataclass(eq=False)
class AnomalyDetector(OutlierEstimator):
    """Scores observations by their distance from normal ones, and flags those above a threshold.

    ``fit`` does everything from normal observations alone. With a trained model and ``calibrate``
    alone, without ``fit``, the score is the reconstruction's negative log-likelihood.
    """

    parameters: ClassVar = ("model", "false_alarm_rate", "config", "max_references", "seed")

    model: Autoencoder | None = None
    """A model; ``fit`` trains a copy of one without training, and an ``ae`` where it is None."""
    threshold: float | None = None
    """Score above which an observation is an anomaly; ``calibrate`` sets it."""
    _: KW_ONLY
    false_alarm_rate: float = 0.01
    """Fraction of further normal observations that may be flagged."""
    config: FitConfig | None = None
    """Hyperparameters of the training in ``fit``; None is 2,000 steps of the defaults."""
    max_references: int = 10_000
    """Most normal observations that ``fit`` keeps as references: a random sample of more."""
    seed: int = 0
    """Seed of the splits, of the sample and of the weights of a new model."""
    references: References | None = field(default=None, init=False, repr=False)
    """Normal observations that others are compared with; None until ``fit``."""
    columns: list[str] | None = field(default=None, init=False, repr=False)
    """Names of the columns of the data frame or table that ``fit`` was given; None of an array."""
    trained: Autoencoder | None = field(default=None, init=False, repr=False)
    """The model that ``fit`` trained; None where a trained one was given."""

    def __post_init__(self) -> None:
        """Raise ``TypeError`` where the model is not an ``Autoencoder``."""
        self._check_model()

    def _check_model(self) -> None:
        if not (self.model is None or isinstance(self.model, Autoencoder)):
            raise TypeError(
                f"expected a model such as lrl.ae(space), got {shorten(self.model)}: read a "
                "saved one with lrl.load, a saved detector with AnomalyDetector.load"
            )

    @property
    def unit(self) -> str:
        """Unit of a score: nats, or after ``fit`` the sum of the terms' standard deviations."""
        return "nats" if self.references is None else "standard deviations"

    def require_model(self) -> Autoencoder:
        """Return the model, trained by ``fit`` or given.

        Raises:
            ValueError: there is none yet.
        """
        model = self.trained or self.model
        if model is None:
            raise ValueError("the detector has no model: fit it, or give a trained one")
        return model

    def fit(
        self, observations: Any, y: Any = None, *, calibration: Observations | None = None
    ) -> AnomalyDetector:
        """Train a model unless a trained one is given, take references, and set the threshold.

        The threshold is set by observations that neither trained the model nor are references. If
        a model is given that was trained on these very observations, give other ones for the
        ``calibration``: its reconstruction of them is too good for a threshold.

        Args:
            observations: normal observations, ``(N, *observation_shape)``; an array, Frames or a
                path. Rows ``(N, D)`` are vectors, whatever their dtype.
            y: ignored; scikit-learn passes it.
            calibration: held-out normal observations that set the threshold; None takes a fifth of
                ``observations``, or as many as ``false_alarm_rate`` needs.

        Returns:
            The detector itself.

        Raises:
            ValueError: there are too few observations for the false-alarm rate or to learn from,
                or they do not belong to the model's observation space.

        Warns:
            UserWarning: a few observations form a group of their own, far from all others.
        """
        needed = needed_for(self.false_alarm_rate)
        normal = as_frames(as_vectors(observations))
        self._check_model()  # ``set_params`` may have set it
        if self.model is not None:
            self.model.check_observations(normal[:1])
        check_learnable(normal)  # before the split, after which rows have other numbers
        if calibration is None:
            check_enough(len(normal) // 2, self.false_alarm_rate, f"half of {len(normal)}")
            normal, held_out = normal.split(max(CALIBRATION, needed / len(normal)), self.seed)
        else:
            held_out = as_frames(as_vectors(calibration))
        check_enough(len(held_out), self.false_alarm_rate)
        model, training, validation = self._model_and_split(normal)
        limit = self.max_references
        self.references = References.fit(model, training, validation, limit, self.seed)
        self.columns = normal.columns
        return self.calibrate(held_out)

    def _model_and_split(self, normal: Frames) -> tuple[Autoencoder, Frames, Frames]:
        config = self.config or FitConfig(steps=STEPS, seed=self.seed)
        self.trained = None
        if self.model is not None and self.model.fitted:
            # The split of ``fit``: a model of the same config was not trained on the second part.
            return self.model, *normal.split(config.validation, config.seed)
        self.trained = copy.deepcopy(self.model) or default_model(normal.space, self.seed)
        history = fit(self.trained, normal, config, progress=False)
        return self.trained, history.training, history.validation

    def calibrate(
        self, normal: Observations, false_alarm_rate: float | None = None
    ) -> AnomalyDetector:
        """Set the threshold to the conformal quantile of the scores of normal observations.

        It is the ceil((n + 1)(1 - rate))-th smallest of n scores (Vovk et al. 2005; Laxhammar &
        Falkman 2010). On average over calibrations, the false-alarm rate is then at most the given
        one.

        Args:
            normal: held-out normal observations, which the model was not trained on and which are
                no references: an array, Frames or a path.
            false_alarm_rate: fraction of further normal observations that may be flagged; None is
                the detector's own.

        Returns:
            The detector itself.

        Raises:
            ValueError: the rate is not between 0 and 1, there are too few observations for it, or
                the model has not been fitted.
        """
        rate = self.false_alarm_rate if false_alarm_rate is None else false_alarm_rate
        needed_for(rate)  # raises before any score is computed
        self.require_model().check_fitted()
        self.threshold = conformal_threshold(np.atleast_1d(self.score(normal)), rate)
        return self

    def score(self, observations: Observations) -> Array:
        """Score of each observation, high for anomalies.

        After ``fit`` it is the sum of standard scores: twice that of the distance from the nearest
        references, that of the distance relative to theirs, that of the reconstruction, and, of
        vectors and sequences, four times that of the largest error of a value; the last two need a
        decoder. Without references it is -log p(x | z) at the posterior mean z, a density of the
        scaled observation in nats, which can be negative.

        Args:
            observations: an array ``(B, *observation_shape)`` or one without ``B``, a data frame,
                Frames or a path.

        Returns:
            float64 ``(B,)``, or a number for one observation.

        Raises:
            TypeError: there are no references, and the model has no decoder.
            ValueError: there is no model, or shape, dtype or values do not belong to the
                observation space, or the columns are not those of ``fit``.
        """
        return batched(self.require_model(), self._score, self._in_order(observations))

    def _in_order(self, observations: Any) -> Observations:
        """Return observations whose columns are those of ``fit``."""
        opened = as_observations(observations, self.require_model().observation_space)
        if isinstance(opened, Frames):
            check_columns(opened.columns, self.columns)
        return opened

    def map(self, observations: Observations) -> Array:
        """Contribution of each position to the negative log-likelihood, in nats.

        Args:
            observations: as in ``score``.

        Returns:
            float32: per pixel ``(B, h, w)``, summed over the channels, at the input size of the
            network; per step ``(B, T)`` of sequences, summed over their values; per value
            ``(B, D)`` of vectors.

        Raises:
            TypeError: the model has no decoder.
            ValueError: there is no model, or shape, dtype or values do not belong to the
                observation space, or the columns are not those of ``fit``.
        """
        return batched(self.require_model(), self._map, self._in_order(observations))

    def map_series(self, series: Array) -> Array:
        """Negative log-likelihood of each step of one long series, in nats.

        It is the mean over all windows of the model's length that contain the step.

        Args:
            series: ``(N, D)``, or ``(N,)`` where D is 1.

        Returns:
            float64 ``(N,)``.

        Raises:
            TypeError: the model has no decoder.
            ValueError: the model is not one of sequences, or the series is shorter than its
                windows or has other values per step.
        """
        shape = self.require_model().observation_space.shape
        rows = np.asarray(series)
        rows = rows[:, None] if rows.ndim == 1 else rows
        sequences = len(shape) == 2 and not is_image(self.require_model().observation_space)
        if not sequences or rows.ndim != 2 or rows.shape[1] != shape[1] or len(rows) < shape[0]:
            raise ValueError(
                f"expected a series (N, D) of at least T steps for a model of sequences (T, D), "
                f"got shape {np.shape(series)} for a model of {shape}"
            )
        windows = np.lib.stride_tricks.sliding_window_view(rows, shape[0], axis=0).swapaxes(1, 2)
        maps = self.map(windows)
        total, counts = np.zeros(len(rows)), np.zeros(len(rows))
        for step in range(shape[0]):
            total[step : step + len(maps)] += maps[:, step]
            counts[step : step + len(maps)] += 1
        return total / counts

    def is_anomaly(self, observations: Observations) -> Array:
        """Whether each observation scores above the threshold, bool ``(B,)``; NaN counts as above.

        Raises:
            ValueError: there is no threshold yet.
        """
        return np.asarray(~(self.score(observations) <= self.require_threshold()))

    def save(self, path: str | Path) -> Path:
        """Write the model, the references and the threshold to the folder ``path``; return it.

        ``latentrl.load`` reads the model alone from the same folder.

        Raises:
            ValueError: there is no model.
        """
        return detector_files.write(path, self.require_model(), self.references, self._notes())

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> AnomalyDetector:
        """Read the detector that ``save`` wrote; nothing in the files is executed.

        Raises:
            FileNotFoundError: there is no detector.
            ValueError: the file is damaged, foreign or of another format.
        """
        model, references, notes = detector_files.read(path, device)
        columns = notes.pop("columns")
        detector = cls(model, **notes)
        detector.references, detector.columns = references, columns
        return detector

    def _notes(self) -> dict[str, Any]:
        return {
            name: getattr(self, name)
            for name in ("threshold", "false_alarm_rate", "max_references", "seed", "columns")
        }

    def _map(self, batch: Array) -> Array:
        model = self.require_model()
        nll = model.pixel_nll(batch)
        space = model.observation_space
        if len(space.shape) == 3 or (len(space.shape) == 2 and not is_image(space)):
            nll = nll.sum(-1)
        return nll

    def _score(self, batch: Array) -> Array:
        model = self.require_model()
        if self.references is not None:
            return self.references.score(model, batch)
        nll = model.pixel_nll(batch)
        # float64: ten thousand float32 terms of either sign lose the digits in which scores differ.
        scores: Array = nll.sum(tuple(range(1, nll.ndim)), dtype=np.float64)
        return scores


def default_model(space: spaces.Box, seed: int = 0) -> Autoencoder:
    """Return the untrained ``ae`` that ``AnomalyDetector.fit`` trains.

    A latent stands for eight values of an image or sequence, and for two of a vector: where fewer
    latents than independent causes remain, normal observations are reconstructed badly, too.
    """
    values = VECTOR_COMPRESSION if len(space.shape) == 1 else COMPRESSION
    latents = min(MAX_LATENTS, max(1, math.prod(space.shape) // values))
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        return ae(space, latents)
