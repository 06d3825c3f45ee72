"""Trained models for people who write Python: ``load('runs/mine').predict('image.jpg').save('outputs')``."""

from .load import load
from .prediction import Prediction, Segment
from .predictor import Predictor
from .tiled import TiledPrediction

__all__ = ['Prediction', 'Predictor', 'Segment', 'TiledPrediction', 'load']
