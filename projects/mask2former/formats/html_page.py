"""HTML pages of one file: from templates whose values are escaped, with pictures within them."""

import base64
import functools
from pathlib import Path
from typing import Any

import jinja2


@functools.cache
def _templates(folder: Path) -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(folder)
    return jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)


def render(template: Path, **values: Any) -> str:
    """Fill a template in. Texts are escaped, as file and class names come from others."""
    return _templates(template.parent).get_template(template.name).render(**values)


def in_base64(content: bytes) -> str:
    """Bytes as a text."""
    return base64.b64encode(content).decode('ascii')


def data_address(kind: str, content: bytes) -> str:
    """A file as its own address: ``data:image/png;base64,...`` of the kind ``image/png``."""
    return f'data:{kind};base64,{in_base64(content)}'
