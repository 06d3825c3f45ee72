"""Trained models for people who write Python: ``load('runs/mine').predict('image.jpg').save('outputs')``."""

from typing import TYPE_CHECKING

from mask2former.lazy import lazy_exports

if TYPE_CHECKING:
    from .loading import load
    from .prediction import Prediction, Segment
    from .predictor import Predictor
    from .tiled import TiledPrediction

__all__ = ['Prediction', 'Predictor', 'Segment', 'TiledPrediction', 'load']

__getattr__ = lazy_exports(
    __name__,
    Prediction='prediction',
    Predictor='predictor',
    Segment='prediction',
    TiledPrediction='tiled',
    load='loading',
)
