"""Models that travel: the Hugging Face Hub with a model card, and ONNX."""

from latentrl.share.card import model_card
from latentrl.share.onnx import export_onnx
from latentrl.share.push import push_to_hub

__all__ = ["export_onnx", "model_card", "push_to_hub"]
