"""The classes of well-known data sets, from files of this package."""

import functools
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / 'datasets' / 'metainfo'


@functools.cache
def known_metainfo(name: str) -> dict:
    """Read the metainfo of a well-known data set from its file ``{name}.json``.

    Colours are left out where the data set has none of its own.
    """
    table = json.loads((FOLDER / f'{name}.json').read_text())
    info: dict[str, Any] = dict(
        classes=tuple(table['classes']),
        isthing=tuple(bool(flag) for flag in table['isthing']),
        category_ids=tuple(table['category_ids']),
    )
    if 'palette' in table:
        info['palette'] = [tuple(color) for color in table['palette']]
    return info
