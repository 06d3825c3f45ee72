"""What other programs call: a model from a config and a checkpoint, and an inferencer of images."""

from .build import init_model
from .inferencer import SegInferencer, list_images
from .results import sample_to_json, summarize, write_id_map

__all__ = ['SegInferencer', 'init_model', 'list_images', 'sample_to_json', 'summarize', 'write_id_map']
