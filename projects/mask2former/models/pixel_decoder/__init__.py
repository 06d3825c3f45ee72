"""Pixel decoders: from backbone features to per-pixel features and the maps that the head attends to."""

from .fpn import FPNPixelDecoder
from .msdeform_attn_pixel_decoder import MSDeformAttnPixelDecoder
from .patch_tokens import PatchTokens
from .transformer_fpn import TransformerFPNPixelDecoder

__all__ = ['FPNPixelDecoder', 'MSDeformAttnPixelDecoder', 'PatchTokens', 'TransformerFPNPixelDecoder']
