"""What is said of limits, on tables whose answers are known."""

import numpy as np
import pytest

from mask2former.datasets.segment_table import SegmentTable, TableBuilder, join_tables
from mask2former.limits.crops import class_visibility
from mask2former.limits.sentences import limit_sentences
from mask2former.limits.settings import LimitSettings, Scaling, limit_settings, read_scaling

CLASSES, THINGS = ('cell', 'dust', 'ground'), (True, True, False)
JITTER = dict(type='LargeScaleJitter', crop_size=(64, 32), scale=(100, 100), ratio_range=(0.5, 1.5))


def table(*images, size=(100, 200)):
    """A table of images that list (label, area, box) of each segment."""
    builder = TableBuilder()
    for number, segments in enumerate(images):
        for label, area, *box in segments:
            builder.add(number, label, dict(area=area, bbox=box or None))
    return builder.build([dict(img_id=number, height=size[0], width=size[1]) for number in range(len(images))])


def say(segments, **settings):
    return limit_sentences(segments, LimitSettings(**settings), CLASSES, THINGS)


def cells(count, area=400):
    return [(0, area)] * count


FULL = table([*cells(6), (2, 9000)], [*cells(2), (1, 400), (2, 9000)], [(2, 9000)])


def test_nothing_is_said_where_nothing_is_capped():
    wide = dict(num_queries=7, max_per_image=6, max_dets=6, measures_pq=True, scaling=Scaling(np.zeros((0, 2))))
    assert say(FULL, split='val', **wide) == say(FULL, split='train', **wide) == []
    assert say(table([], []), split='train', num_queries=1) == []


def test_queries():
    # Two of the eight cells are missed: PQ (6 / 7 + 1 + 1) / 3, AP of 0.75 recall 76 / 101 and of dust 1.
    start = '1 of 3 validation images have more than 5 segments (model.head.num_queries), up to 7: '
    expected = f'{start}PQ can reach 95.2 at most.'
    assert say(FULL, split='val', num_queries=5, measures_pq=True) == [expected]
    assert say(FULL, split='val', num_queries=5, measures_pq=True, max_per_image=100) == [
        expected.replace('95.2', '95.2 and AP 93.6')
    ]
    assert say(FULL, split='train', num_queries=5) == [
        '1 of 3 training images have more than 5 segments (model.head.num_queries), up to 7: seen whole, 2 of 12 '
        'segments would be learnt by no query.'
    ]


@pytest.mark.parametrize('min_area, end', [(1, 'learnt by no query; crops have fewer.'), (0, 'learnt by no query.')])
def test_crops_have_fewer_segments_unless_emptied_ones_are_kept(min_area, end):
    cfg = dict(model=dict(head=dict(num_queries=5)))
    pipeline = [dict(type='RandomCrop', crop_size=(50, 50)), dict(type='PackSegInputs', min_area=min_area)]
    [said] = limit_sentences(FULL, limit_settings(cfg, 'train', pipeline), CLASSES, THINGS)[:1]
    assert said.endswith(end)


def test_detections():
    # max_per_image 4: two of eight cells. max_dets 3: three.
    assert say(FULL, split='test', max_per_image=4, max_dets=3) == [
        '1 of 3 test images have more than 4 objects (max_per_image of InstanceTopK), up to 6: AP can reach '
        f'{50 * (76 / 101 + 1):.1f} at most.',
        '1 of 3 test images have more than 3 objects of a class (max_dets of InstanceAP), up to 6: AP can reach '
        f'{50 * (63 / 101 + 1):.1f} at most.',
    ]
    assert 'more than 3 objects (max_dets of InstanceAP)' in say(FULL, split='test', max_dets=3, lvis=True)[0]


def test_classes_without_an_example():
    assert say(table([(2, 10)]), split='train') == [
        "2 of 3 classes have no training example and cannot be learnt: 'cell', 'dust'."
    ]


def test_small_segments():
    # Images of 100 x 200 become 50 x 100: 60 pixels are 15 of the input then, less than the 16 of a mask pixel.
    scaling = Scaling(np.array([[100, 100]]))
    [said] = say(table([*cells(3), (0, 60), (0, 64)]), split='val', scaling=scaling)
    assert said.startswith(
        '1 of 5 validation segments (20.0 %) are smaller than one pixel of the mask features, 4 x 4 '
    )
    assert say(table([*cells(3), (0, 60)]), split='val', scaling=None) == []


def test_segments_of_a_class_are_one_where_the_task_is_semantic():
    merged = FULL.by_class()
    assert merged.per_image().tolist() == [2, 3, 1]
    assert merged.area.tolist() == [2400, 9000, 800, 400, 9000, 9000]
    [said] = say(FULL, split='val', num_queries=2, by_class=True)
    assert said == '1 of 3 validation images have more than 2 classes (model.head.num_queries), up to 3.'


def test_the_box_around_segments_of_a_class():
    merged = table([(0, 4, 10, 20, 5, 5), (0, 6, 0, 30, 2, 2)]).by_class()
    assert merged.box.tolist() == [[0, 20, 15, 12]]


def test_the_share_of_crops_that_show_a_class():
    # Crops of 50 x 50 out of images 100 x 200 that keep their size: 51 x 151 offsets.
    ground = (2, 900, 0, 0, 200, 100)
    boxes = table([(0, 100, 0, 0, 1, 1), ground], [(1, 100, 60, 60, 10, 10), ground])
    big = join_tables([boxes] * 5000)
    shares = class_visibility(big, Scaling(np.zeros((0, 2)), (50, 50)), 3)
    # The corner is seen from one offset a side, columns 60 to 69 from the offsets 11 to 69, rows likewise but to 50.
    expected = [1 / 51 / 151 / 2, 40 / 51 * 59 / 151 / 2, 1]
    np.testing.assert_allclose(shares[1:], expected[1:], rtol=0.02)
    assert shares[0] == pytest.approx(expected[0], rel=0.3)
    [said] = say(boxes, split='train', scaling=Scaling(np.zeros((0, 2)), (50, 50)), draws=100_000)
    assert said.startswith('1 of 3 classes are in fewer than 1 of 1000 training crops of 50 x 50; ')
    assert "'cell' is in" in said and 'times in this training.' in said


def test_a_resized_image_shows_as_much_as_its_crop_covers():
    whole = table([(0, 1, 0, 0, 1, 1)])
    scaling = Scaling(np.array([[50, 50]]), (50, 50))  # the image becomes 25 x 50 and lies within the crop
    assert class_visibility(whole, scaling, 3).tolist() == [1, 0, 0]


@pytest.mark.parametrize(
    ('step', 'usual', 'crop'),
    [
        (JITTER, 0.5, (32, 64)),
        (dict(type='mmdet.Resize', scale=(400, 120), keep_ratio=True), 1.2, None),
        (dict(type='RandomChoiceResize', scales=[(400, 50), (400, 100), (400, 150)], keep_ratio=True), 1.0, None),
        (dict(type='RandomResize', scale=(100, 100), ratio_range=(1.0, 3.0)), 1.0, None),
        (dict(type='RandomCrop', crop_size=(30, 20)), 1.0, (20, 30)),
    ],
)
def test_what_a_pipeline_does_to_sizes(step, usual, crop):
    scaling = read_scaling([dict(type='LoadImage'), step])
    assert scaling.usual(np.array([[100, 200]])).tolist() == pytest.approx([usual])
    assert scaling.crop == crop


def test_a_pipeline_that_is_not_known_says_nothing_of_sizes():
    assert read_scaling([dict(type='RandomAffine')]) is None


def test_settings_of_a_config():
    cfg = dict(
        model=dict(head=dict(num_queries=9), postprocessors=dict(a=None, b=dict(type='InstanceTopK'))),
        val_evaluator=[dict(type='PanopticQuality'), dict(type='mask2former.InstanceAP', max_dets=(1, 50))],
        train_dataloader=dict(batch_size=4),
        train_cfg=dict(max_iters=10),
    )
    found = limit_settings(cfg, 'val')
    assert (found.num_queries, found.max_per_image, found.max_dets, found.measures_pq) == (9, 100, 50, True)
    assert limit_settings(cfg, 'train', (), num_processes=2).draws == 80
    assert limit_settings(dict(cfg, val_evaluator=dict(type='SemanticIoU')), 'val').by_class
    assert limit_settings(dict(model=dict(cfg['model'], sliding_window=dict(stride=1))), 'val').num_queries is None


def test_a_malformed_area_or_box_is_not_known():
    builder = TableBuilder()
    for area, box in ((None, [1, 2, 3]), ('9', 5), (4, [1, 2, 3, '4'])):
        builder.add('a', 1, dict(area=area, bbox=box))
    builder.add('elsewhere', 1, {})
    built = builder.build([dict(img_id='a', height=3, width=4)])
    assert isinstance(built, SegmentTable) and len(built) == 3
    assert np.isnan(built.box).all() and built.area[2] == 4 and np.isnan(built.area[:2]).all()
