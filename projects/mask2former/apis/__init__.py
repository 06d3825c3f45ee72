"""What other programs call: a model from a config and a checkpoint, an inferencer of images, a tracker in videos."""

from .build import init_model
from .frame_tracker import FrameTracker
from .inferencer import SegInferencer, list_images
from .results import sample_to_json, summarize, write_id_map

__all__ = ['FrameTracker', 'SegInferencer', 'init_model', 'list_images', 'sample_to_json', 'summarize', 'write_id_map']
