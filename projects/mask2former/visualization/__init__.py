"""Drawing of images with their ground truth and predictions."""

from .visualizer import SegLocalVisualizer

__all__ = ['SegLocalVisualizer']
