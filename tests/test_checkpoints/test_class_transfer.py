"""A checkpoint of other classes: everything but the classifier, and its rows of equal names by option."""

import pytest
import torch

from mask2former.checkpoints.class_transfer import transfer_classes

THEIRS, OURS = ('cat', 'dog', 'sky'), ('sky', 'bird', 'cat', 'fish')


def classifier(rows: int, start: float) -> dict[str, torch.Tensor]:
    numbers = torch.arange(rows, dtype=torch.float32) + start
    return {
        'head.class_embed.weight': numbers[:, None].expand(rows, 2).clone(),
        'head.class_embed.bias': numbers,
        'head.norm.weight': torch.ones(2),
    }


def test_rows_of_equal_names_are_copied():
    state = classifier(4, 100)
    table = transfer_classes(state, classifier(5, 0), THEIRS, OURS, copy_equal=True)
    # sky, bird, cat, fish, no-object
    assert state['head.class_embed.bias'].tolist() == [102, 1, 100, 3, 103]
    assert state['head.class_embed.weight'][:, 1].tolist() == [102, 1, 100, 3, 103]
    lines = [line.split() for line in table.splitlines()]
    assert ['sky', 'yes'] in lines and ['no-object', 'yes'] in lines and ['bird', 'no,', 'from', 'scratch'] in lines


def test_without_the_option_all_rows_stay():
    state = classifier(4, 100)
    table = transfer_classes(state, classifier(5, 0), THEIRS, OURS)
    assert state['head.class_embed.bias'].tolist() == [0, 1, 2, 3, 4]
    assert 'classifier, 3 classes -> 4  no, from scratch' in table and '1 ' in table


def test_equal_classes_are_left_alone():
    for theirs in (OURS, None):
        state = classifier(5, 100)
        assert transfer_classes(state, classifier(5, 0), theirs, OURS) is None
        assert state['head.class_embed.bias'][0] == 100


def test_as_many_other_classes_are_other_classes():
    state = classifier(5, 100)
    transfer_classes(state, classifier(5, 0), ('a', 'b', 'cat', 'd'), OURS, copy_equal=True)
    assert state['head.class_embed.bias'].tolist() == [0, 1, 102, 3, 104]


def test_other_spellings_are_the_same_classes():
    """As data sets, mmdet and transformers differ in them."""
    ours = ('traffic light', 'Wall-Other', 'tree')
    state = classifier(4, 100)
    assert transfer_classes(state, classifier(4, 0), ('Traffic-Light', 'wall_other', 'tree, plant'), ours) is None
    transfer_classes(state, classifier(4, 0), ('tree; wood', 'tree', 'traffic_light'), ours, copy_equal=True)
    assert state['head.class_embed.bias'].tolist() == [102, 1, 101, 103]


def test_rows_need_names():
    with pytest.raises(ValueError, match='does not say the names'):
        transfer_classes(classifier(4, 100), classifier(5, 0), None, OURS, copy_equal=True)
