"""A checkpoint of other classes: everything but the classifier, and its rows of equal names by option."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mask2former.checkpoints.class_transfer import transfer_classes
from mask2former.checkpoints.fit import check_fit
from mask2former.engine.other_classes_hook import OtherClassesHook
from mask2former.errors import CheckpointError
from mask2former.formats.known_metainfo import known_metainfo

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


# Of each data set of videos the classes that COCO has, too, in COCO's words.
COCO_S = {
    'youtube_vis_2019': 'person skateboard dog cat cow train horse bear giraffe surfboard airplane truck zebra '
    'elephant snowboard boat mouse',
    'youtube_vis_2021': 'airplane bear bird boat car cat cow dog elephant giraffe horse mouse person skateboard '
    'snowboard surfboard train truck zebra',
    'ovis': 'person bird cat dog horse sheep cow elephant bear zebra giraffe bicycle motorcycle airplane boat',
}


@pytest.mark.parametrize('dataset', COCO_S)
@pytest.mark.parametrize('address', ['r50-coco-instance', 'checkpoint://somewhere/model_final_3c8ec9.pkl', 'mine.pth'])
@pytest.mark.parametrize('copy_equal', [True, False])
def test_from_coco_to_videos(dataset, address, copy_equal):
    """The reference's files do not say their classes; those of the model zoo are known all the same."""
    coco, ours = known_metainfo('coco_instance')['classes'], known_metainfo(dataset)['classes']
    state, model = classifier(81, 100), nn.Module()
    own = classifier(len(ours) + 1, 0)
    model.state_dict = lambda: own
    model.classes = ours
    log = []
    runner = SimpleNamespace(model=model, _load_from=address, logger=SimpleNamespace(warning=log.append))
    hook = OtherClassesHook(copy_equal)
    if copy_equal and address == 'mine.pth':
        with pytest.raises(CheckpointError, match="'mine.pth' does not say the names of its classes"):
            hook.after_load_checkpoint(runner, dict(state_dict=state))
        return
    hook.after_load_checkpoint(runner, dict(state_dict=state))
    names = [name.lower().replace('_', ' ') for name in ours]
    equal = COCO_S[dataset].split() + ['tennis racket'] * ('youtube' in dataset)
    assert set(equal) <= set(names)
    rows = [100 + coco.index(name) if copy_equal and name in equal else i for i, name in enumerate(names)]
    assert state['head.class_embed.bias'].tolist() == [*rows, 180 if copy_equal else len(ours)]
    assert state['head.class_embed.weight'][:, 1].tolist() == state['head.class_embed.bias'].tolist()
    [text] = log
    assert f'80 classes -> {len(ours)}' in text and ('no, from scratch' in text)


def test_another_number_of_queries_is_one_sentence():
    class Head(nn.Module):
        def __init__(self, queries):
            super().__init__()
            self.head = nn.Module()
            self.head.query_embed, self.head.query_feat = nn.Embedding(queries, 4), nn.Embedding(queries, 4)
            self.head.norm = nn.LayerNorm(4)

    sentence = 'it has 100 queries, the model 200 (head.num_queries)'
    assert check_fit(Head(200), Head(100).state_dict(), 'a.pkl', partly=True) == sentence
    with pytest.raises(CheckpointError, match="'a.pkl' does not fit the model: it has 100 queries, the model 200"):
        check_fit(Head(200), Head(100).state_dict(), 'a.pkl')
    state = Head(100).state_dict()
    del state['head.norm.weight']
    assert "3 of the model's 4 weights" in check_fit(Head(200), state, 'a.pkl', partly=True)
