"""What other programs call: a model from a config and a checkpoint, inferencers of images and of videos."""

from typing import TYPE_CHECKING

from mask2former.lazy import lazy_exports

if TYPE_CHECKING:
    from .build import init_model
    from .frame_tracker import FrameTracker
    from .inferencer import SegInferencer, list_images, output_stems
    from .results import sample_to_json, summarize, write_id_map
    from .track_json import TrackJson
    from .video_inferencer import VideoInferencer

__all__ = [
    'FrameTracker',
    'SegInferencer',
    'TrackJson',
    'VideoInferencer',
    'init_model',
    'list_images',
    'output_stems',
    'sample_to_json',
    'summarize',
    'write_id_map',
]

__getattr__ = lazy_exports(
    __name__,
    FrameTracker='frame_tracker',
    SegInferencer='inferencer',
    TrackJson='track_json',
    VideoInferencer='video_inferencer',
    init_model='build',
    list_images='inferencer',
    output_stems='inferencer',
    sample_to_json='results',
    summarize='results',
    write_id_map='results',
)
