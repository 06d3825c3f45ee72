"""Looks at nested tables that come from a file: what must be where, before it is used."""

from collections.abc import Callable, Mapping
from typing import Any

# Of each field, its keys with dots between them, what it must be; of a name with a question mark, where it is anything.
Fields = Mapping[str, Callable[[Any], bool]]


def wrong_field(content: Mapping, fields: Fields) -> str | None:
    """The first field that is not as it must be; None if all are. Tables stand before what is in them."""
    for field, fits in fields.items():
        value: Any = content
        for key in field.removesuffix('?').split('.'):
            value = None if value is None else value.get(key)
        if not (fits(value) or (value is None and field.endswith('?'))):
            return field.removesuffix('?')
    return None


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 0 on, of at most 64 bits."""
    return isinstance(value, int) and 0 <= value < 2**64


def is_table(value: Any) -> bool:
    """Whether it is a table."""
    return isinstance(value, Mapping)
