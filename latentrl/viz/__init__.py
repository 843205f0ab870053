"""Images, figures and maps; the callbacks for TensorBoard and for SB3 are in files of their own."""

from latentrl.viz import explorer, figures, images, novelty_map
from latentrl.viz.explorer import explore

__all__ = ["explore", "explorer", "figures", "images", "novelty_map"]
