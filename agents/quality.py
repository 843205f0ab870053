"""The check after pretraining: metrics, images, the data card and one warning."""

from __future__ import annotations

import dataclasses
import math
import sys
import warnings
from pathlib import Path

from tqdm import tqdm

from agents.pretrain_config import DETAILED_SIZE, FLAGS_FILE
from agents.runs import python_script
from latentrl import Frames, History, save
from latentrl.cli.plugins import shell_line
from latentrl.data.joined import joined
from latentrl.latents.known_factors import score_frames
from latentrl.models.autoencoder import Autoencoder
from latentrl.models.backbones.spatial import Spatial
from latentrl.models.preprocessing import is_image
from latentrl.share.card import (
    FACTORS,
    QUALITY,
    VECTOR_QUALITY,
    card_factors,
    card_invariance,
    card_quality,
    card_vector_quality,
)
from latentrl.training.choice import BETA, CHANNELS
from latentrl.training.quality import Quality, quality
from latentrl.training.trainer import COMPLETE
from latentrl.training.vector_quality import VectorQuality, vector_quality
from latentrl.utils.io import read_json, write_bytes
from latentrl.viz.images import png
from latentrl.viz.quality import lost_details
from latentrl.viz.tensorboard import log_quality

IMAGE = "lost_details.png"
LEAST_FRAMES = 10
"""Least number of frames for a check."""
CHECKED = "checked"
"""Entry of a model's metadata: False between training and check, and True after it."""
GUIDE = "docs/guide/will_it_work.md"


def check_quality(
    model: Autoencoder, history: History, path: Path
) -> Quality | VectorQuality | None:
    """Measure a pretrained encoder, and write the metrics to its data card and TensorBoard.

    The card gets scores by the known factors of held-out frames, too, where there are some.

    Args:
        model: a fitted model; its data card gets the metrics.
        history: what ``fit`` returned, with the held-out frames.
        path: folder of the model.

    Returns:
        The metrics; None for models without a decoder, and for fewer than 10 frames in all.

    Warns:
        UserWarning: the latents lack something that an agent may need.
    """
    scores = score_frames(model, history.validation, history.training)
    if scores is not None:
        model.metadata[FACTORS] = dataclasses.asdict(scores)
    frames = None if model.decoder is None else _frames_to_check(history)
    measured: Quality | VectorQuality | None = None
    if frames is not None:
        images = is_image(model.observation_space)
        measured = (
            _check_images(model, frames, history.best_step, path)
            if images
            else _check_vectors(model, frames)
        )
    model.metadata[CHECKED] = True
    save(model, path)
    if measured is not None:
        warn_if_poor(model, path)
    return measured


def _frames_to_check(history: History) -> Frames | None:
    """Return held-out frames, or all where they are too few, as those of a world of few images."""
    held_out = len(history.validation)
    if held_out >= LEAST_FRAMES:
        return history.validation
    everything = joined(history.training, history.validation)
    enough = len(everything) >= LEAST_FRAMES
    outcome = (
        f"the check is on all {len(everything)}, which the encoder was trained on"
        if enough
        else "what the latents keep is not checked; train on more frames that differ"
    )
    found = f"{held_out} distinct frames are held out, fewer than {LEAST_FRAMES}"
    tqdm.write(f"{found}: {outcome}", file=sys.stderr)
    return everything if enough else None


def _check_images(model: Autoencoder, frames: Frames, step: int, path: Path) -> Quality:
    measured = quality(model, frames)
    model.metadata[QUALITY] = dataclasses.asdict(measured)
    image = png(lost_details(model, frames))
    write_bytes(path / IMAGE, image)
    log_quality(path, measured, image, step)
    return measured


def _check_vectors(model: Autoencoder, frames: Frames) -> VectorQuality:
    measured = vector_quality(model, frames)
    model.metadata[VECTOR_QUALITY] = dataclasses.asdict(measured)
    return measured


def warn_if_poor(model: Autoencoder, path: str | Path | None = None) -> None:
    """Warn of an encoder whose data card says that it lacks something that an agent may need.

    Args:
        model: any encoder; one without metrics, such as a never trained one, gives no warning.
        path: its folder; None is the one that it was loaded from.

    Raises:
        ValueError: the metrics in the data card are damaged.
    """
    measured = card_quality(model) or card_vector_quality(model)
    if measured is None or _is_bare(model, measured):
        return
    problems = measured.problems()
    if problems:
        image = Path(path or model.source or "") / IMAGE
        seen = f" (see {image})" if image.is_file() else ""
        warnings.warn(
            f"the encoder may miss something: {'; '.join(problems)}{seen}. "
            f"{_remedy(model, measured)}; {GUIDE} explains the check",
            UserWarning,
            stacklevel=3,
        )


def _is_bare(model: Autoencoder, measured: Quality | VectorQuality) -> bool:
    """Whether no agent will observe these vectors, whose latents may be meant to lose values."""
    environment = model.metadata.get("data", {}).get("environment")
    return isinstance(measured, VectorQuality) and environment is None


def describe_factors(model: Autoencoder) -> list[str]:
    """Return the scores by known factors in the data card as lines of text, if it has some.

    Raises:
        ValueError: the scores in the data card are damaged.
    """
    scores = card_factors(model)
    if scores is None:
        return []
    probe = ", ".join(
        f"{name} {'below 0' if r2 < 0 else f'{r2:.2f}'}" for name, r2 in scores.probe.items()
    )
    metrics = ", ".join(f"{name} {score:.2f}" for name, score in scores.disentanglement.items())
    return [f"R2 of a linear probe: {probe}", *([f"disentanglement: {metrics}"] if metrics else [])]


def _remedy(model: Autoencoder, measured: Quality | VectorQuality) -> str:
    if isinstance(measured, VectorQuality):
        latent_dim = min(2 * model.latent_dim, math.prod(model.observation_space.shape))
        more = f" with --latent-dim {latent_dim}, or" if latent_dim > model.latent_dim else ""
        return f"Pretrain again{more} longer with --steps"
    if model.config.training != "gradient":
        return f"Pretrain again without --model {model.config.model}"
    if _is_chosen(model):  # which --latent-dim or --beta alone would replace by one vector
        cells = min(Spatial().grid(model.preprocess.shape))
        few = cells < min(Spatial().grid((1, DETAILED_SIZE, DETAILED_SIZE)))
        larger = f"with --size {DETAILED_SIZE}, for more cells, or " if few else ""
        return f"Pretrain again {larger}longer with --steps"
    from_environment = "environment" in model.metadata.get("data", {})
    if measured.used_dimensions == 0 and not from_environment:
        return "Pretrain again with a lower --beta, or longer with --steps"
    if model.latent_layout.grid is None:
        return _remedy_of_vector(model, from_environment)
    return f"Pretrain again with --latent-dim {2 * model.latent_dim}, or longer with --steps"


def _remedy_of_vector(model: Autoencoder, from_environment: bool) -> str:
    if not from_environment:  # the encoder of a user's own images is not chosen from them
        latent_dim = CHANNELS * math.prod(Spatial().grid(model.preprocess.shape))
        if latent_dim >= math.prod(model.preprocess.shape):  # of an image as small as its cells
            return "Pretrain again longer with --steps"
        flags = f"--option 'backbone={{name: spatial}}' --latent-dim {latent_dim}"
        return f"Pretrain again with {flags}"
    flags = "--latent-dim, --beta, --likelihood and --option"
    return f"Pretrain again without {flags}, for a grid of cells that is chosen from the frames"


def _is_chosen(model: Autoencoder) -> bool:
    """Whether ``choose`` gave the model's network and rate."""
    backbone, losses = model.config.backbone or {}, model.config.losses
    return backbone.get("name") == "spatial" and any(loss.get("beta") == BETA for loss in losses)


def warn_if_interrupted(encoder: Autoencoder) -> None:
    """Warn of an encoder that is not trained to the end, checked, and invariant to what flags say.

    Warns:
        UserWarning: the pretraining was interrupted.
    """
    folder = Path(encoder.source or "")
    flags = read_json(folder / FLAGS_FILE) if (folder / FLAGS_FILE).is_file() else {}
    wanted = flags.get("invariant_to")
    if encoder.metadata.get(COMPLETE) is False:
        lacks = "trained to the end, and what it keeps is not checked"
    elif wanted is not None and card_invariance(encoder) is None:
        lacks = f"invariant to {wanted}"
    elif encoder.metadata.get(CHECKED) is False:
        lacks = "checked"
    else:
        return
    command = shell_line([*python_script("pretrain_vae.py"), "--resume", "--out", str(folder)])
    remedy = f"{command} completes it" if flags else "train it to the end"
    warnings.warn(
        f"the encoder is not yet {lacks}: its training was interrupted; {remedy}", stacklevel=3
    )


def describe_invariance(model: Autoencoder) -> list[str]:
    """Return the line that says whether latents depend on what ``invariant`` trained them for.

    Raises:
        ValueError: what the data card says is damaged.
    """
    found = card_invariance(model)
    if found is None:
        return []
    return [
        f"invariant to {found.names}: R2 of the latents of corrupted frames {found.after:.2f}, "
        f"before {found.before:.2f}"
    ]
