"""What values of COCO's JSON files may be, where text, null or a list in their place would fail later and elsewhere."""

import sys
from typing import Any, TypeGuard

MAX_SIDE = 2**20  # pixels: OpenCV's limit


def is_side(value: Any) -> TypeGuard[int]:
    """Whether a value can be the height or the width of an image."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_SIDE


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value is a number that a float can hold: JSON knows NaN, Infinity and whole numbers of any length."""
    return isinstance(value, int | float) and -sys.float_info.max <= value <= sys.float_info.max


def is_text(value: Any) -> TypeGuard[str]:
    """Whether a value is a text that can be written: JSON can hold halves of characters, which no file can."""
    return isinstance(value, str) and not any('\ud800' <= sign <= '\udfff' for sign in value)


def is_color(value: Any) -> TypeGuard[list[int]]:
    """Whether a value is a colour as COCO's files have it; other tools write texts, such as ``#ff0000``."""
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(isinstance(part, int) and 0 <= part <= 255 for part in value)
    )


def is_file_name(value: Any) -> TypeGuard[str]:
    """Whether a value can name a file."""
    return isinstance(value, str) and value.strip() != '' and '\0' not in value


def is_segment_id(value: Any) -> TypeGuard[int]:
    """Whether a value can be the id of a panoptic segment: a PNG holds 24 bits, and 0 is void."""
    return isinstance(value, int) and 0 < value < 2**24


def is_flag(value: Any) -> TypeGuard[int]:
    """Whether a value says yes or no, as 1 or 0 or as JSON's true or false."""
    return isinstance(value, int | float) and value in (0, 1)
