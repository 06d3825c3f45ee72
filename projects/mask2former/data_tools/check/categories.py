"""Checks of the categories of one split, and of two splits against each other."""

from collections import Counter
from typing import Any

import numpy as np

from .source import Source, is_id


def read_rows(source: Source, content: Any) -> list[dict]:
    """Return the usable ``categories`` of a JSON file, and report what is wrong in them."""
    rows = []
    for row in content if isinstance(content, list) else []:
        if not isinstance(row, dict) or not is_id(row.get('id')) or not isinstance(row.get('name'), str):
            source.add('malformed category', None, f"{row!r} needs an 'id' and a 'name'")
            continue
        rows.append(row)
        if source.form == 'panoptic' and 'isthing' in row and row['isthing'] not in (0, 1):
            source.add(
                'isthing missing',
                None,
                f"category {row['id']} '{row['name']}' has isthing {row['isthing']!r}: write 1 or 0",
            )
    for key, kind in (('id', 'category id twice'), ('name', 'category name twice')):
        for value, count in Counter(row[key] for row in rows).items():
            if count > 1:
                source.add(kind, None, f'{count} categories have the {key} {value!r}')
    return rows


def explain_refusal(source: Source, rows: list[dict], error: Exception) -> None:
    """Report why the data set cannot be built: categories without ``isthing``, or else its own words."""
    lacking = [row for row in rows if row.get('isthing') is None] if source.form == 'panoptic' else []
    for row in lacking:
        source.add(
            'isthing missing',
            None,
            f"category {row['id']} '{row['name']}' has no 'isthing': add 1 for a thing "
            'or 0 for stuff; CocoPanopticFormat refuses the file',
        )
    if not lacking and not any(problem.kind == 'malformed category' for problem in source.problems):
        source.add('classes unusable', None, str(error))


def compare_classes(first: Source, other: Source) -> None:
    """Report to ``other`` where its classes are not those of ``first``."""
    classes = [
        [(row.get('name'), bool(row.get('isthing'))) for id_, row in source.categories.items() if id_ in source.learnt]
        for source in (first, other)
    ]
    if classes[0] != classes[1]:
        place, pair = next(
            ((place, pair) for place, pair in enumerate(zip(*classes)) if pair[0] != pair[1]),
            (min(map(len, classes)), None),
        )
        told = (
            'the counts differ'
            if pair is None
            else ' there and '.join(f"'{name}' ({'thing' if isthing else 'stuff'})" for name, isthing in pair) + ' here'
        )
        other.add(
            'classes differ',
            None,
            f'{first.name} has {len(classes[0])} classes, {other.name} '
            f'{len(classes[1])}; at place {place}: {told}. Set the same metainfo=dict(classes=[...]) for both',
        )
    elif _encoding(first) != _encoding(other):
        other.add('category ids differ', None, f'{first.name} and {other.name} number the same classes differently')


def _encoding(source: Source) -> Any:
    if source.label_table is None:
        return {id_: row.get('name') for id_, row in source.categories.items()}
    known = np.flatnonzero(source.label_table >= 0)
    return dict(zip(known.tolist(), source.label_table[known].tolist()))
