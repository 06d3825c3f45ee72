"""Pixel decoders: from backbone features to per-pixel features and the maps that the head attends to."""

from .msdeform_attn_pixel_decoder import MSDeformAttnPixelDecoder

__all__ = ['MSDeformAttnPixelDecoder']
