"""The latent explorer: one HTML file that decodes latents in the browser, without a network."""

from latentrl.viz.explorer.document import explore
from latentrl.viz.explorer.strip import Episode

__all__ = ["Episode", "explore"]
