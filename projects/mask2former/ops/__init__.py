"""Operators: one function each, several backends."""

from .ms_deform_attn import available_backends, ms_deform_attn

__all__ = ['available_backends', 'ms_deform_attn']
