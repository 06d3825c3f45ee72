"""The model and its five parts.

"The reference", throughout the package, is the authors' implementation, https://github.com/facebookresearch/Mask2Former.
"""

from . import backbones, criterion, pixel_decoder, postprocess  # noqa: F401  (registers their classes)
from .data_preprocessor import SegDataPreprocessor
from .encoder_only_head import EncoderOnlyHead
from .head import HeadOutput, MaskedAttentionHead
from .mask2former import Mask2Former
from .per_pixel import PerPixelHead
from .tile_model import SegTileModel
from .tta import SegTTAModel
from .video import VideoMask2Former

__all__ = [
    'EncoderOnlyHead',
    'HeadOutput',
    'Mask2Former',
    'MaskedAttentionHead',
    'PerPixelHead',
    'SegDataPreprocessor',
    'SegTTAModel',
    'SegTileModel',
    'VideoMask2Former',
]
