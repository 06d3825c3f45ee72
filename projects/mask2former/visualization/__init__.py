"""Drawing of images with their ground truth and predictions."""

from .tensorboard import TensorboardIfInstalled
from .visualizer import SegLocalVisualizer

__all__ = ['SegLocalVisualizer', 'TensorboardIfInstalled']
