"""Images, figures, maps, the explorer; callbacks for TensorBoard and SB3 have their own files."""

from latentrl.viz import explorer, figures, images, novelty_map
from latentrl.viz.explorer import explore

__all__ = ["explore", "explorer", "figures", "images", "novelty_map"]
