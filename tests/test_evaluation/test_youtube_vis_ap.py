"""YouTube-VIS's AP against the published evaluator (mmdet has a copy of it), dense bitmaps and cases worked by hand."""

import copy
import json
import tracemalloc
from types import SimpleNamespace

import mmdet.evaluation.functional.ytviseval as ytviseval
import numpy as np
import pytest
from mmdet.evaluation.functional import YTVIS
from pycocotools import mask as mask_utils

from mask2former.errors import ConfigError, DataError
from mask2former.evaluation import YouTubeVISAP, show_dataset
from mask2former.evaluation.track_average_precision import mean_area, track_average_precision, track_ious
from mask2former.registry import METRICS

from .samples import run, run_on_ranks
from .track_scenes import CATEGORIES, META, SIZE, random_tracks, random_truth, rectangle, sample_of

NAMES = 'mAP mAP_50 mAP_75 mAP_s mAP_m mAP_l AR_1 AR_10 AR_100 AR_s AR_m AR_l'.split()


@pytest.fixture
def published(monkeypatch):
    """The 12 numbers of the published evaluator, and its precision. It was written for numpy's older names."""
    patched = SimpleNamespace(**{name: getattr(np, name) for name in dir(np)})
    patched.float = float
    monkeypatch.setattr(ytviseval, 'np', patched)

    def evaluate(truth, found):
        api = YTVIS(copy.deepcopy({key: truth[key] for key in ('videos', 'annotations', 'categories')}))
        evaluation = ytviseval.YTVISeval(api, api.loadRes(copy.deepcopy(found)), 'segm')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats, evaluation.eval['precision']

    return evaluate


def measure(truth, found, tmp_path, **options):
    (tmp_path / 'truth.json').write_text(
        json.dumps(
            {
                **truth,
                'annotations': [
                    {key: value for key, value in track.items() if key != 'boxes'} for track in truth['annotations']
                ],
            }
        )
    )
    samples = [
        sample_of(video['id'], [track for track in found if track['video_id'] == video['id']])
        for video in truth['videos']
    ]
    return run(YouTubeVISAP(ann_file=str(tmp_path / 'truth.json'), **options), samples, META)


@pytest.mark.parametrize('seed', range(8))
def test_the_twelve_numbers_are_the_published_evaluator_s(published, tmp_path, seed):
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    found = random_tracks(rng, truth)
    stats, precision = published(truth, found)
    metrics = measure(truth, found, tmp_path, classwise=True)
    ours = [metrics[f'track_{name}'] for name in NAMES]
    np.testing.assert_allclose(ours, np.where(stats < 0, -1, 100 * stats), rtol=0, atol=1e-10)
    assert len(set(np.round(stats, 6).tolist())) > 6, 'a scene on which numbers agree by chance'
    for k, category in enumerate(CATEGORIES):
        values = precision[:, :, k, 0, -1]
        key = f'track_mAP/{category["name"]}'
        assert (key in metrics) == (values.max() > -1)
        if key in metrics:
            assert metrics[key] == pytest.approx(100 * values.mean(), abs=1e-10)


def test_many_tracks_reach_the_limits(published, tmp_path):
    """More than 100 of a class in a video, of which only the best 100 count."""
    rng = np.random.default_rng(1)
    truth = random_truth(rng, num_videos=2)
    video = max(truth['videos'], key=lambda v: sum(t['video_id'] == v['id'] for t in truth['annotations']))
    found = random_tracks(rng, truth)
    noise = [rectangle((i, i, 20, 20)) for i in range(130)]
    found = [
        dict(video_id=video['id'], category_id=3, score=0.9 - i / 200, segmentations=[rle] * video['length'])
        for i, rle in enumerate(noise)
    ] + found
    stats, _ = published(truth, found)
    metrics = measure(truth, found, tmp_path)
    np.testing.assert_allclose([metrics[f'track_{n}'] for n in NAMES], np.where(stats < 0, -1, 100 * stats), atol=1e-10)


def test_iou_of_tracks_is_that_of_dense_volumes():
    rng = np.random.default_rng(0)

    def volume():
        masks = rng.uniform(size=(5, 20, 30)) < rng.uniform(0, 0.6)
        masks[rng.uniform(size=5) < 0.3] = False
        return masks

    found, truth = [volume() for _ in range(6)], [volume() for _ in range(5)]
    found.append(np.zeros((5, 20, 30), bool))
    truth.append(np.zeros((5, 20, 30), bool))

    def encode(masks):
        """Of frames without a pixel some are null and some are an empty code."""
        rles = [mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8)) for mask in masks]
        return [rle if mask.any() or i % 2 else None for i, (mask, rle) in enumerate(zip(masks, rles))]

    ious = track_ious([encode(masks) for masks in found], [encode(masks) for masks in truth])
    dense = np.array([[(a & b).sum() / max(1, (a | b).sum()) for b in truth] for a in found])
    np.testing.assert_array_equal(ious, dense)


def worked(segmentations_of_truth, segmentations_of_found, **options):
    truth = [
        dict(video_id=1, category_id=3, iscrowd=0, area=100, segmentations=frames) for frames in segmentations_of_truth
    ]
    found = [
        dict(video_id=1, category_id=3, score=1 - i / 10, segmentations=frames)
        for i, frames in enumerate(segmentations_of_found)
    ]
    return track_average_precision(truth, found, [1], [3], **options)[0]


def test_worked_by_hand():
    a, b = rectangle((0, 0, 10, 10)), rectangle((50, 50, 10, 10))
    assert worked([[a, a], [b, b]], [[a, a], [b, b]])['mAP'] == pytest.approx(1)
    # Two objects swap their ids half-way: each track shares half of its pixels with the union: IoU 1/3, no match.
    swapped = worked([[a, a], [b, b]], [[a, b], [b, a]])
    assert swapped['mAP_50'] == 0 and swapped['AR_100'] == 0
    # Missed in one frame of three: IoU 2/3 passes 0.5, 0.55, 0.6 and 0.65 of the ten thresholds.
    assert worked([[a, a, a]], [[a, None, a]])['mAP'] == pytest.approx(0.4)
    # One of two objects: the recall is 0.5, and 51 of the 101 recalls have precision 1.
    half = worked([[a], [b]], [[a]])
    assert half['mAP'] == pytest.approx(51 / 101) and half['AR_1'] == pytest.approx(0.5)
    # The best one is wrong: at AR_1 nothing is found.
    wrong = worked([[a]], [[b], [a]])
    assert wrong['AR_1'] == 0 and wrong['AR_10'] == 1 and wrong['mAP'] == pytest.approx(0.5)
    assert worked([[a]], [])['mAP'] == 0 and worked([], [[a]])['mAP'] == -1
    assert worked([[a]], [[a]], max_dets=(5,)).keys() >= {'mAP', 'AR_5'}


def test_areas_are_means_over_the_frames_that_show_the_object():
    assert mean_area([None, 0, 4, 8]) == 6 and mean_area([None, None]) == 0 == mean_area([])


def test_any_share_between_ranks_gives_the_same(tmp_path):
    rng = np.random.default_rng(4)
    truth = random_truth(rng)
    found = random_tracks(rng, truth)
    whole = measure(truth, found, tmp_path)
    samples = [sample_of(v['id'], [t for t in found if t['video_id'] == v['id']]) for v in truth['videos']]
    shares = [[0, 5], [1, 2, 3, 7], [6, 4]]
    parted = run_on_ranks(lambda: YouTubeVISAP(ann_file=str(tmp_path / 'truth.json')), samples, META, shares)
    assert parted == pytest.approx(whole, abs=1e-10)
    some = run(YouTubeVISAP(ann_file=str(tmp_path / 'truth.json')), samples[:3], META)
    only = dict(truth, annotations=[t for t in truth['annotations'] if t['video_id'] <= 3], videos=truth['videos'][:3])
    assert some == pytest.approx(measure(only, found, tmp_path), abs=1e-10)


def simple(tmp_path, **video):
    rle = rectangle((5, 5, 20, 20))
    head = dict(id=1, height=SIZE[0], width=SIZE[1], file_names=['0', '1', '2'])
    tracks = [dict(id=1, video_id=1, category_id=3, iscrowd=0, segmentations=[rle, None, rle])]
    truth = dict(videos=[{**head, **video}], annotations=tracks, categories=CATEGORIES)
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    return truth, rle, str(tmp_path / 'truth.json')


def test_unlabelled_frames_do_not_count_by_option(tmp_path):
    truth, rle, path = simple(tmp_path)
    found = [sample_of(1, [dict(category_id=3, score=1.0, segmentations=[rle] * 3)])]
    assert run(YouTubeVISAP(ann_file=path), found, META)['track_mAP'] == pytest.approx(40)  # IoU 2/3
    assert run(YouTubeVISAP(ann_file=path, skip_unlabelled=True), found, META)['track_mAP'] == pytest.approx(100)
    dataset = SimpleNamespace(form='video', ann_file=path, skip_unlabelled=True)
    metric = METRICS.build(dict(type='YouTubeVISAP'))
    show_dataset([metric], dataset)
    assert run(metric, found, META)['track_mAP'] == pytest.approx(100)
    told = YouTubeVISAP(ann_file=path, skip_unlabelled=False)
    show_dataset([told], dataset)
    assert run(told, found, META)['track_mAP'] == pytest.approx(40)


def test_polygons_and_files_without_areas(tmp_path):
    truth, rle, path = simple(tmp_path)
    truth['annotations'][0]['segmentations'][0] = [[5, 5, 25, 5, 25, 25, 5, 25]]
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    found = [sample_of(1, [dict(category_id=3, score=1.0, segmentations=[rle, None, rle])])]
    metrics = run(YouTubeVISAP(ann_file=path), found, META)
    assert metrics['track_mAP'] == metrics['track_mAP_s'] == pytest.approx(100) and metrics['track_mAP_l'] == -1


def test_what_is_wrong_is_said_in_a_sentence(tmp_path):
    truth, rle, path = simple(tmp_path)
    metric = YouTubeVISAP(ann_file=path)
    good = dict(category_id=3, score=1.0, segmentations=[rle] * 3)
    for sample, error, message in [
        (sample_of(2, [good]), ConfigError, 'video 2 is no video of'),
        (sample_of(1, [dict(good, segmentations=[rle])]), DataError, 'video 1 has 1 masks, but the video has 3'),
        (sample_of(1, [dict(good, segmentations=[rectangle((1, 1, 2, 2), (9, 9)), rle, rle])]), DataError, r'\(9, 9\)'),
    ]:
        with pytest.raises(error, match=message):
            run(metric, [sample], META)
    lacking = sample_of(1, [])
    lacking.pred_tracks = [dict(score=1.0)]
    with pytest.raises(DataError, match="track of video 1 has no 'label' and no 'segmentations'"):
        run(metric, [lacking], META)
    del lacking.pred_tracks
    with pytest.raises(DataError, match="video 1 has no 'pred_tracks'"):
        run(metric, [lacking], META)
    with pytest.raises(ConfigError, match='video twice'):
        run(YouTubeVISAP(ann_file=path), [sample_of(1, []), sample_of(1, [])], META)
    with pytest.raises(ConfigError, match='no ground truth'):
        run(YouTubeVISAP(), [sample_of(1, [])], META)
    with pytest.raises(ConfigError, match='No category'):
        run(YouTubeVISAP(ann_file=path), [sample_of(1, [])], dict(META, category_ids=(90, 91, 92, 93)))
    with pytest.raises(ConfigError, match='max_dets'):
        YouTubeVISAP(max_dets=(0,))
    (tmp_path / 'truth.json').write_text(json.dumps(dict(truth, annotations=None)))
    with pytest.raises(DataError, match="no 'annotations' to evaluate by"):
        YouTubeVISAP(ann_file=path)


def test_a_thousand_frames_need_no_bitmaps():
    """Ten tracks by ten of 1000 frames 1080 x 1920, which would be 20 GB as bitmaps."""
    rows = [rectangle((40 * i, 30 * i, 200, 150), (1080, 1920)) for i in range(10)]
    tracks = [[rle] * 1000 for rle in rows]
    track_ious(tracks[:1], tracks[:1])
    tracemalloc.start()
    ious = track_ious(tracks, tracks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(np.diag(ious), np.ones(10)) and 0 < ious[0, 1] < 1 and ious[0, 9] == 0
    assert peak < 5e6
