"""Drawing of images with their ground truth and predictions."""

from .mlflow_backend import MLflowVisBackend
from .tensorboard import TensorboardIfInstalled
from .visualizer import SegLocalVisualizer

__all__ = ['MLflowVisBackend', 'SegLocalVisualizer', 'TensorboardIfInstalled']
