"""Images, figures and maps; the callbacks for TensorBoard and for SB3 are in files of their own."""

from latentrl.viz import figures, images, novelty_map

__all__ = ["figures", "images", "novelty_map"]
