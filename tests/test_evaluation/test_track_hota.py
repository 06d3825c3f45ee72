"""HOTA and CLEAR through trackeval: what goes in is what trackeval reads from YouTube-VIS files itself."""

import json
import sys

import numpy as np
import pytest

from mask2former.errors import ConfigError, MissingPackageError
from mask2former.evaluation import TrackHOTA
from mask2former.evaluation.track_hota import detections, trackeval_metrics
from mask2former.formats.rle import run_lengths

from .samples import run
from .track_scenes import CATEGORIES, META, SIZE, random_tracks, random_truth, rectangle, sample_of

A, B = rectangle((0, 0, 40, 40)), rectangle((200, 200, 40, 40))


def uncompressed(rle):
    return rle and dict(rle, counts=run_lengths(rle['counts']).tolist())


def trackeval_itself(folder, truth, found):
    """What trackeval makes of the files, with its own reader of YouTube-VIS."""
    from trackeval.datasets import YouTubeVIS

    (folder / 'gt' / 'youtube_vis_val').mkdir(parents=True)
    (folder / 'found' / 'youtube_vis_val' / 'ours' / 'data').mkdir(parents=True)
    videos = [dict(v, file_names=[f'{v["id"]}/{i}.jpg' for i in range(v['length'])]) for v in truth['videos']]
    tracks = [dict(t, segmentations=[uncompressed(rle) for rle in t['segmentations']]) for t in truth['annotations']]
    content = dict(truth, videos=videos, annotations=tracks)
    (folder / 'gt' / 'youtube_vis_val' / 'gt.json').write_text(json.dumps(content))
    numbered = [dict(t, id=i) for i, t in enumerate(found, start=1)]
    (folder / 'found' / 'youtube_vis_val' / 'ours' / 'data' / 'r.json').write_text(json.dumps(numbered))
    data = YouTubeVIS(
        dict(GT_FOLDER=f'{folder}/gt/', TRACKERS_FOLDER=f'{folder}/found/', SPLIT_TO_EVAL='val', PRINT_CONFIG=False)
    )
    metrics = trackeval_metrics()
    both = []
    for metric in (metrics.HOTA(), metrics.CLEAR(dict(PRINT_CONFIG=False))):
        of_class = {}
        for name in data.class_list:
            parts = {}
            for sequence in data.seq_list:
                raw = data.get_raw_seq_data('ours', sequence)
                parts[sequence] = metric.eval_sequence(data.get_preprocessed_seq_data(raw, name))
            of_class[name] = metric.combine_sequences(parts)
        both.append(metric.combine_classes_det_averaged(of_class))
    hota, clear = both
    values = {name: 100 * float(np.mean(hota[name])) for name in ('HOTA', 'DetA', 'AssA', 'LocA')}
    return dict(values, MOTA=100 * float(clear['MOTA']), IDSW=float(clear['IDSW']))


@pytest.mark.parametrize('seed', range(3))
def test_numbers_are_those_of_trackeval_s_own_reader(tmp_path, seed):
    rng = np.random.default_rng(seed)
    truth = random_truth(rng)
    # It does not leave out crowd and takes empty masks for detections: neither is in its files here.
    truth['annotations'] = [dict(t, iscrowd=0) for t in truth['annotations']]
    empty = rectangle((0, 0, 0, 0))
    found = [
        dict(t, segmentations=[None if r == empty else r for r in t['segmentations']])
        for t in random_tracks(rng, truth)
    ]
    for track in truth['annotations']:
        del track['boxes']
        track.update(height=SIZE[0], width=SIZE[1])
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    samples = [sample_of(v['id'], [t for t in found if t['video_id'] == v['id']]) for v in truth['videos']]
    ours = run(TrackHOTA(ann_file=str(tmp_path / 'truth.json'), score_thr=0.0), samples, META)
    theirs = trackeval_itself(tmp_path, truth, found)
    assert ours == pytest.approx(theirs, abs=1e-9) and 5 < ours['HOTA'] < 95


def measure(tmp_path, truth, found, **options):
    tracks = [
        dict(id=i, video_id=1, category_id=3, segmentations=frames, **extra)
        for i, (frames, extra) in enumerate(truth, start=1)
    ]
    length = len(truth[0][0])
    videos = [dict(id=1, height=SIZE[0], width=SIZE[1], file_names=[str(i) for i in range(length)])]
    (tmp_path / 'truth.json').write_text(json.dumps(dict(videos=videos, annotations=tracks, categories=CATEGORIES)))
    sample = sample_of(1, [dict(category_id=3, score=score, segmentations=frames) for frames, score in found])
    return run(TrackHOTA(ann_file=str(tmp_path / 'truth.json'), **options), [sample], META)


def test_worked_by_hand(tmp_path):
    truth = [([A, A, A, A], {}), ([B, B, B, B], {})]
    right = measure(tmp_path, truth, [([A] * 4, 1.0), ([B] * 4, 0.5)])
    assert right == pytest.approx(dict(HOTA=100, DetA=100, AssA=100, LocA=100, MOTA=100, IDSW=0))
    # The ids change places half-way: every pair shares 2 of its 4 + 4 - 2 detections, and two ids switch.
    swap = measure(tmp_path, truth, [([A, A, B, B], 1.0), ([B, B, A, A], 0.5)])
    assert swap['DetA'] == pytest.approx(100) and swap['AssA'] == pytest.approx(100 / 3) and swap['IDSW'] == 2
    assert swap['HOTA'] == pytest.approx(100 * np.sqrt(1 / 3)) and swap['MOTA'] == pytest.approx(100 * (1 - 2 / 8))
    # One below the threshold is no detection.
    assert measure(tmp_path, truth, [([A] * 4, 1.0), ([B] * 4, 0.4)])['DetA'] == pytest.approx(50)
    assert measure(tmp_path, truth, [([A] * 4, 1.0), ([B] * 4, 0.4)], score_thr=0.3)['DetA'] == pytest.approx(100)
    crowd = measure(tmp_path, [([A] * 4, {}), ([B] * 4, dict(iscrowd=1))], [([A] * 4, 1.0)])
    assert crowd['HOTA'] == pytest.approx(100)


def test_nothing_found_and_nothing_there(tmp_path):
    missed = measure(tmp_path, [([A, A], {})], [])
    assert missed['HOTA'] == 0 == missed['MOTA']
    nothing = measure(tmp_path, [([A, A], dict(iscrowd=1))], [])
    assert nothing == dict(HOTA=-1, DetA=-1, AssA=-1, LocA=-1, MOTA=-1, IDSW=0)


def test_masks_without_a_pixel_are_not_seen():
    empty = rectangle((0, 0, 0, 0))
    data = detections([[A, empty, None]], [[None, None, None], [A, A, empty]], 3)
    assert [ids.tolist() for ids in data['gt_ids']] == [[0], [], []] and data['num_tracker_ids'] == 1
    assert [ids.tolist() for ids in data['tracker_ids']] == [[0], [0], []]
    assert [ious.shape for ious in data['similarity_scores']] == [(1, 1), (0, 1), (0, 0)]


def test_errors(monkeypatch):
    with pytest.raises(ConfigError, match='score_thr'):
        TrackHOTA(score_thr=1.5)
    monkeypatch.setitem(sys.modules, 'trackeval', None)
    monkeypatch.delitem(sys.modules, 'trackeval.metrics', raising=False)
    with pytest.raises(MissingPackageError, match='pip install --no-deps trackeval'):
        TrackHOTA()
