"""Start a training from a checkpoint of other classes: everything but the classifier, and its rows by option."""

import re
from collections.abc import Sequence

from torch import Tensor

from .fit import CLASS_LAYER

CLASSIFIER = (CLASS_LAYER, CLASS_LAYER.replace('weight', 'bias'))  # (K + 1, C), (K + 1,)


def plain_name(name: str) -> str:
    """A class's name as others may spell it: in small letters, words alone, the first of several names.

    >>> plain_name('Traffic-Light; stoplight')
    'traffic light'
    """
    return re.sub(r'[\W_]+', ' ', re.split(r'[;,]', name)[0].casefold()).strip()


def transfer_classes(
    state: dict[str, Tensor],
    own: dict[str, Tensor],
    theirs: Sequence[str] | None,
    ours: Sequence[str],
    *,
    copy_equal: bool = False,
) -> str | None:
    """Make a state dict's classifier fit a model of other classes, in place.

    Args:
        state: Weights of a checkpoint, with our names.
        own: The model's own weights.
        theirs: Classes of the checkpoint; None if it does not say them.
        ours: Classes of the model.
        copy_equal: Whether the rows of classes with equal names, and that of no-object, are taken over; the
            others keep the model's own numbers, as all do without this option. Case and punctuation do not count.

    Returns:
        A table of what was done; None if the classes are the same.

    Raises:
        ValueError: If rows are to be copied and the checkpoint does not say its classes.
    """
    if any(name not in state or name not in own for name in CLASSIFIER):
        return None
    count = len(state[CLASSIFIER[0]]) - 1
    if count == len(ours) and (theirs is None or list(map(plain_name, theirs)) == list(map(plain_name, ours))):
        return None
    rows: dict[int, int] = {}  # of ours to theirs
    if copy_equal:
        if theirs is None or len(theirs) != count:
            raise ValueError('does not say the names of its classes')
        theirs_by_name = {plain_name(name): row for row, name in reversed(list(enumerate(theirs)))}
        theirs_by_name |= {name: row for row, name in reversed(list(enumerate(theirs)))}  # an exact name goes first
        for row, name in enumerate(ours):
            source = theirs_by_name.get(name, theirs_by_name.get(plain_name(name)))
            if source is not None:
                rows[row] = source
        rows[len(ours)] = count
    for name in CLASSIFIER:
        values = own[name].detach().clone().cpu()
        if rows:
            values[list(rows)] = state[name][list(rows.values())].to(values.dtype)
        state[name] = values
    return _table(len(state), count, ours, rows)


def _table(weights: int, count: int, ours: Sequence[str], rows: dict[int, int]) -> str:
    copied = [ours[row] for row in rows if row < len(ours)]
    fresh = [name for row, name in enumerate(ours) if row not in rows]
    lines = [
        ('weights', 'loaded'),
        (str(weights - len(CLASSIFIER)), 'yes'),
        (f'classifier, {count} classes -> {len(ours)}', 'rows of equal names' if rows else 'no, from scratch'),
    ]
    lines += [(name, 'yes') for name in copied] + [('no-object', 'yes')] * bool(rows)
    lines += [(name, 'no, from scratch') for name in fresh] if rows else []
    width = max(len(left) for left, _ in lines)
    return '\n'.join(f'  {left:{width}}  {right}' for left, right in lines)
