"""Clips: which frames they have, one augmentation for all, tracks that keep their number and label."""

import json
import random

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate, pseudo_collate
from pycocotools import mask as mask_utils

from mask2former.data_tools.shapes import generate_moving_shapes
from mask2former.datasets import CocoInstanceFormat, YouTubeVISFormat
from mask2former.datasets.transforms import (
    ImageAsVideo,
    LoadFrames,
    LoadTrackSegments,
    PackClipInputs,
    PackSegInputs,
    SampleFrames,
    TransformClip,
)
from mask2former.errors import ConfigError, DataError, MissingFileError
from mask2former.formats.images import write_image
from mask2former.models.data_preprocessor import form_masks
from mask2former.registry import TRANSFORMS

# Every augmentation of configs/, with what makes it draw something.
FLIP, COLORS = dict(type='RandomFlip', prob=0.5), dict(type='SSDColorAugmentation')
AUGMENTATIONS = dict(
    flip=[FLIP],
    choice_of_sizes=[dict(type='RandomChoiceResize', scales=[(60, 36), (80, 48), (99, 60)], keep_ratio=True)],
    random_size=[dict(type='RandomResize', scale=(80, 48), ratio_range=(0.5, 2.0), keep_ratio=True)],
    crop=[dict(type='RandomCrop', crop_size=(24, 40))],
    crop_of_a_size=[dict(type='RandomCrop', crop_type='absolute_range', crop_size=(24, 40))],
    jitter=[dict(type='LargeScaleJitter', crop_size=(64, 64), pad_val=(1, 2, 3))],
    colors=[COLORS],
    distortion=[dict(type='PhotoMetricDistortion')],
    choice=[dict(type='RandomChoice', transforms=[[FLIP], [COLORS], [dict(type='Resize', scale=(50, 50))]])],
    all=[
        dict(type='RandomChoiceResize', scales=[(60, 36), (99, 60)], keep_ratio=True),
        dict(type='RandomCrop', crop_size=(24, 40)),
        COLORS,
        FLIP,
        dict(type='Pad', size=(64, 64)),
    ],
)


def square(x, y, side=10, size=(48, 80)):
    mask = np.zeros(size, np.uint8, order='F')
    mask[y : y + side, x : x + side] = 1
    rle = mask_utils.encode(mask)
    return dict(size=rle['size'], counts=rle['counts'].decode())


@pytest.fixture
def video(tmp_path):
    """Four frames 48 x 80. Track 10 moves, 20 is in frames 0 and 1 only and overlaps it, 30 is crowd."""
    rng = np.random.default_rng(0)
    frames = []
    for i in range(4):
        write_image(tmp_path / f'{i}.png', rng.integers(0, 255, (48, 80, 3), dtype=np.uint8))
        frames.append(str(tmp_path / f'{i}.png'))
    tracks = [
        dict(id=10, label=4, iscrowd=0, segmentations=[square(5 + 10 * i, 5) for i in range(4)]),
        dict(id=20, label=2, iscrowd=0, segmentations=[square(10, 8), square(20, 8), None, None]),
        dict(id=30, label=1, iscrowd=1, segmentations=[square(50, 30)] * 4),
    ]
    return dict(video_id=7, frames=frames, height=48, width=80, labelled_frames=[0, 1, 2, 3], instances=tracks)


def load(video, frame_ids):
    return LoadTrackSegments().transform(LoadFrames().transform(dict(video, frame_ids=frame_ids)))


def test_the_reference_frame_is_uniform_and_the_others_are_near(video):
    sample = SampleFrames(num_frames=3, frame_range=4)
    long = dict(video, frames=['x'] * 12, labelled_frames=list(range(12)))
    np.random.seed(0)
    seen, first = np.zeros(12), []
    for _ in range(3000):
        ids = sample.transform(long)['frame_ids']
        assert len(ids) == 3 and ids == sorted(ids)
        # One of the three is the reference: different from the others, which lie around it.
        assert any(
            all(abs(other - ids[r]) <= 4 and other != ids[r] for o, other in enumerate(ids) if o != r) for r in range(3)
        )
        seen += np.bincount(ids, minlength=12)
        first.append(tuple(ids))
    assert len(set(first)) > 100 and seen.min() > 300
    np.random.seed(0)
    pairs = [SampleFrames(2, 20).transform(video)['frame_ids'] for _ in range(400)]
    assert all(a < b for a, b in pairs), 'the reference frame came twice'
    assert {tuple(pair) for pair in pairs} == {(a, b) for a in range(4) for b in range(a + 1, 4)}


def test_short_and_unlabelled_and_whole_videos(video):
    one = dict(video, frames=['x'], labelled_frames=[0])
    assert SampleFrames(3).transform(one)['frame_ids'] == [0, 0, 0]
    some = dict(video, frames=['x'] * 50, labelled_frames=[5, 8, 40])
    np.random.seed(0)
    drawn = {tuple(SampleFrames(2, 5).transform(some)['frame_ids']) for _ in range(100)}
    assert drawn == {(5, 8), (40, 40)}
    assert SampleFrames(None).transform(some)['frame_ids'] == list(range(50))
    for options in (dict(num_frames=0), dict(frame_range=0)):
        with pytest.raises(ConfigError, match=next(iter(options))):
            SampleFrames(**options)


def test_tracks_keep_number_and_label_whichever_frames_show_them(video):
    clip = load(video, [0, 3])['clip']
    assert clip[0]['gt_seg_labels'].tolist() == [4, 2] == clip[1]['gt_seg_labels'].tolist()
    assert clip[0]['gt_seg_map'].shape == (48, 80, 2) and clip[1]['gt_seg_map'].shape == (48, 80)
    for place, frame in zip((0, 3), clip):
        for value, track in enumerate(video['instances'][:2], start=1):
            rle = track['segmentations'][place]
            expected = mask_utils.decode(rle).astype(bool) if rle else np.zeros((48, 80), bool)
            found = (frame['gt_seg_map'].reshape(48, 80, -1) == value).any(-1)
            assert np.array_equal(found, expected)
    # Frames that do not show it make it no target, and those that show none have an empty map.
    assert load(video, [2, 3])['clip'][0]['gt_seg_labels'].tolist() == [4]
    empty = load(dict(video, instances=video['instances'][1:]), [2, 3])
    assert empty['clip'][0]['gt_seg_labels'].shape == (0,) and not empty['clip'][0]['gt_seg_map'].any()


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_all_frames_are_augmented_alike(video, name):
    """A clip of one frame three times stays one; other clips, and frames that are not shared, differ."""

    def images(shared, seed):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        results = TransformClip(AUGMENTATIONS[name], shared=shared).transform(load(video, [1, 1, 1]))
        return [(frame['img'], frame['gt_seg_map']) for frame in results['clip']]

    def equal(a, b):
        return all(x.shape == y.shape and np.array_equal(x, y) for x, y in zip(a, b))

    clips = [images(True, seed) for seed in range(12)]
    for first, *others in clips:
        assert all(equal(first, other) for other in others)
    assert not all(equal(clip[0], clips[0][0]) for clip in clips), 'nothing is drawn'
    assert not all(
        equal(first, other) for seed in range(12) for first, *others in [images(False, seed)] for other in others
    )


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_a_frame_is_augmented_as_an_image_is(video, name):
    frame = load(video, [0])['clip'][0]
    both = []
    for transform in (TransformClip(AUGMENTATIONS[name]), TransformClip(AUGMENTATIONS[name]).transforms):
        random.seed(3)
        np.random.seed(3)
        results = dict(video, frame_ids=[0], clip=[dict(frame, img=frame['img'].copy())])
        done = (
            transform.transform(results)['clip'][0]
            if isinstance(transform, TransformClip)
            else transform(dict(frame, img=frame['img'].copy()))
        )
        both.append((done, random.random(), np.random.rand()))
    assert np.array_equal(both[0][0]['img'], both[1][0]['img'])
    assert np.array_equal(both[0][0]['gt_seg_map'], both[1][0]['gt_seg_map'])
    assert both[0][1:] == both[1][1:], 'another stretch of the random numbers is used up'


def test_packed_clips(video):
    packed = PackClipInputs().transform(load(video, [0, 2, 3]))
    inputs, sample = packed['inputs'], packed['data_samples']
    assert inputs.shape == (3, 3, 48, 80) and inputs.dtype == torch.uint8
    for place, planes in zip((0, 2, 3), inputs):
        frame = LoadFrames().transform(dict(video, frame_ids=[place]))['clip'][0]
        assert torch.equal(planes, PackSegInputs().transform(frame)['inputs'])
    assert sample.gt_segments.labels.tolist() == [4, 2] and sample.gt_segments.ids.tolist() == [1, 2]
    assert sample.gt_seg_map.id_map.shape == (6, 48, 80) and sample.gt_seg_map.id_map.dtype == torch.uint8
    meta = sample.metainfo
    assert (meta['video_id'], meta['video_length'], meta['frame_ids']) == (7, 4, (0, 2, 3))
    assert meta['img_paths'] == tuple(video['frames'][i] for i in (0, 2, 3))
    assert meta['ori_shape'] == meta['img_shape'] == (48, 80)
    # The masks by the function that images have, with all layers of a frame as one map each.
    maps = sample.gt_seg_map.id_map.view(3, 2, 48, 80)
    masks = (maps[:, None] == sample.gt_segments.ids[:, None, None, None]).any(2)  # (T, N, H, W)
    for t, place in enumerate((0, 2, 3)):
        for n, track in enumerate(video['instances'][:2]):
            rle = track['segmentations'][place]
            area = int(mask_utils.area(rle)) if rle else 0
            assert int(masks[t, n].sum()) == area
    assert pseudo_collate([packed, packed])['inputs'][1] is inputs
    form_masks(sample)  # takes every layer as of one image: the mask is then where any frame shows the track
    assert torch.equal(sample.gt_segments.masks, masks.any(0))


def test_what_no_frame_shows_after_augmentation_is_dropped(video):
    results = TransformClip([dict(type='RandomCrop', crop_size=(10, 20))]).transform
    np.random.seed(0)
    for _ in range(20):
        clip = results(load(video, [0, 1]))
        sample = PackClipInputs().transform(clip)['data_samples']
        maps = [frame['gt_seg_map'] for frame in clip['clip']]
        shown = sorted(set(np.concatenate([np.unique(seg_map) for seg_map in maps]).tolist()) - {0})
        assert sample.gt_segments.ids.tolist() == shown
        assert sample.gt_segments.labels.tolist() == [(4, 2)[value - 1] for value in shown]
        kept = PackClipInputs(min_area=0).transform(clip)['data_samples']
        assert kept.gt_segments.labels.tolist() == [4, 2]
    with pytest.raises(ConfigError, match='min_area'):
        PackClipInputs(min_area=-1)


def test_errors_name_the_frame(video, tmp_path):
    write_image(tmp_path / 'small.png', np.zeros((40, 80, 3), np.uint8))
    (tmp_path / 'broken.png').write_bytes((tmp_path / '0.png').read_bytes()[:200])
    for name, error, message in [
        ('absent.png', MissingFileError, 'absent.png.*does not exist'),
        ('broken.png', DataError, 'broken.png.*cannot be decoded'),
        ('small.png', DataError, 'Video 7 .*small.png.*one size|Video 7 .*small.png.*size that the file says'),
    ]:
        frames = [*video['frames'][:3], str(tmp_path / name)]
        with pytest.raises(error, match=message):
            load(dict(video, frames=frames), [0, 3])
    wrong = dict(video['instances'][0], segmentations=[square(1, 1, size=(40, 80))] * 4)
    with pytest.raises(DataError, match='RLE.*40 x 80.*0.png'):
        load(dict(video, instances=[wrong]), [0])
    with pytest.raises(DataError, match='video 7 have the sizes.*one size'):
        clip = load(video, [0, 1])
        clip['clip'][1].update(img=clip['clip'][1]['img'][:20])
        PackClipInputs().transform(clip)


def test_a_clip_that_a_transform_gives_up_is_drawn_again(video):
    class GiveUp:
        def __call__(self, results):
            return None if results['img_path'].endswith('1.png') else results

    transform = TransformClip([])
    transform.transforms.transforms.append(GiveUp())
    assert transform.transform(load(video, [0, 1])) is None
    assert len(transform.transform(load(video, [0, 2]))['clip']) == 2


PIPELINE = [
    dict(type='LoadFrames'),
    dict(type='LoadTrackSegments'),
    dict(type='TransformClip', transforms=[dict(type='RandomChoiceResize', scales=[(64, 48)], keep_ratio=True), FLIP]),
    dict(type='PackClipInputs'),
]


def test_the_pipeline_on_moving_shapes(tmp_path):
    generate_moving_shapes(tmp_path, num_train=10, num_val=1, size=(32, 48), frames=(2, 5))
    options = dict(data_root=str(tmp_path), ann_file='train.json', data_prefix=dict(img='train/JPEGImages'))
    dataset = YouTubeVISFormat(pipeline=[dict(type='SampleFrames', num_frames=3), *PIPELINE], **options)
    np.random.seed(0)
    clips = [dataset[i] for i in range(10)]
    truth = json.loads((tmp_path / 'train.json').read_text())['annotations']
    for clip in clips:
        sample = clip['data_samples']
        assert len(clip['inputs']) == 3 and len(sample.gt_segments.labels) == len(sample.gt_segments.ids)
        tracks = [t for t in truth if t['video_id'] == sample.video_id and not t['iscrowd']]
        shown = [t for t in tracks if any(t['segmentations'][place] for place in sample.frame_ids)]
        categories = [dataset.metainfo['category_ids'][label] for label in sample.gt_segments.labels.tolist()]
        assert categories == [t['category_id'] for t in shown]
    assert clips[9]['data_samples'].frame_ids == (0, 0, 0)
    batch = default_collate([dict(inputs=clip['inputs'].shape[0]) for clip in clips])
    assert batch['inputs'].tolist() == [3] * 10
    val = YouTubeVISFormat(
        pipeline=[
            dict(type='SampleFrames', num_frames=None),
            dict(type='LoadFrames'),
            dict(type='TransformClip', transforms=[dict(type='Resize', scale=(24, 24), keep_ratio=True)]),
            dict(type='PackClipInputs'),
        ],
        test_mode=True,
        **options,
    )
    for i in range(10):
        sample = val[i]['data_samples']
        assert len(sample.frame_ids) == sample.video_length and 'gt_segments' not in sample
        assert max(sample.img_shape) == 24 and max(sample.ori_shape) == 48
        tracks = [t for t in truth if t['video_id'] == sample.video_id]
        assert [t['segmentations'] for t in sample.gt_tracks] == [t['segmentations'] for t in tracks]
        assert [t['iscrowd'] for t in sample.gt_tracks] == [t['iscrowd'] for t in tracks]


def test_images_as_videos(tmp_path):
    """COCO's classes by the names of YouTube-VIS, three views of an image, each augmented in its own way."""
    write_image(tmp_path / '1.png', np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8))
    content = dict(
        images=[dict(id=5, file_name='1.png', height=48, width=80)],
        annotations=[
            dict(id=1, image_id=5, category_id=3, segmentation=square(5, 5), iscrowd=0),
            dict(id=2, image_id=5, category_id=1, segmentation=[[30, 5, 60, 5, 60, 40]], iscrowd=0),
        ],
        categories=[dict(id=1, name='person'), dict(id=3, name='car'), dict(id=9, name='boat')],
    )
    (tmp_path / 'coco.json').write_text(json.dumps(content))
    dataset = CocoInstanceFormat(
        ann_file='coco.json',
        data_root=str(tmp_path),
        data_prefix=dict(img=''),
        # A class that COCO lacks has an id that no annotation has.
        metainfo=dict(classes=('giant_panda', 'person', 'sedan'), category_ids=(-1, 1, 3)),
        pipeline=[dict(type='ImageAsVideo', num_frames=3), *PIPELINE[:2], dict(PIPELINE[2], shared=False), PIPELINE[3]],
    )
    np.random.seed(1)
    packed = dataset[0]
    sample = packed['data_samples']
    assert packed['inputs'].shape == (3, 3, 38, 64) and sample.gt_segments.labels.tolist() == [2, 1]
    assert sample.video_id == 5 and sample.frame_ids == (0, 1, 2)
    flipped = [not torch.equal(view, packed['inputs'][0]) for view in packed['inputs']]
    assert any(flipped)
    for view in packed['inputs']:
        assert torch.equal(view, packed['inputs'][0]) or torch.equal(view, packed['inputs'][0].flip(-1))
    with pytest.raises(ConfigError, match='num_frames'):
        ImageAsVideo(0)


def test_every_transform_of_clips_is_registered_and_says_its_settings():
    for config in (dict(type='SampleFrames'), dict(type='ImageAsVideo'), *PIPELINE):
        transform = TRANSFORMS.build(config)
        assert config['type'] in repr(transform)
