"""The categories of an annotation file beside the classes that a data set learns or knows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mask2former.errors import DataError


def labels_by_id(categories: Iterable[Mapping], category_ids: Sequence) -> dict[Any, int | None]:
    """The label of each category by its id; None of those that the metainfo leaves out."""
    return dict.fromkeys(category['id'] for category in categories) | {
        category_id: label for label, category_id in enumerate(category_ids)
    }


def known_names(given: Mapping | None, defaults: Mapping) -> dict[Any, str]:
    """The names by id that a data set's class knows; none where ``category_ids`` are given to the data set."""
    own = {} if 'category_ids' in (given or {}) else defaults
    return dict(zip(own.get('category_ids', ()), own.get('classes', ())))


def check_names(categories: Iterable[Mapping], names: Mapping[Any, str], ann_file: str, owner: str, other: str) -> None:
    """Check a file's categories against the names that a data set's class knows, if it knows any.

    Args:
        categories: ``id`` and ``name`` of each.
        names: Those known, by id.
        ann_file: The file.
        owner: The data set's class.
        other: The class that takes any categories.

    Raises:
        DataError: If one has another name there.
    """
    for category in categories if names else ():
        if names.get(category['id']) != category['name'].strip():
            raise DataError(
                f"Category {category['id']} of '{ann_file}' is '{category['name']}', but {owner} has "
                f"{names.get(category['id'], 'none')!r} there; use type='{other}', which takes the file's own."
            )
