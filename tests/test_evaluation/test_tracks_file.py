"""Files of tracks: what is read is what was predicted, and the test server's file is what its evaluator reads."""

import copy
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from mmdet.evaluation.functional import YTVIS
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

from mask2former.errors import DataError
from mask2former.evaluation import DumpSegResults, YouTubeVISAP
from mask2former.evaluation.results_file import as_sample, read_results
from mask2former.evaluation.youtube_vis_submission import write_youtube_vis_submission
from mask2former.formats.rle import encode_mask
from tests.tools import load_tool

from .samples import run
from .track_scenes import META, random_tracks, random_truth, sample_of


@pytest.fixture
def scene(tmp_path):
    """A truth file, tracks whose masks are RLEs of bytes as they are predicted, and their data samples."""
    rng = np.random.default_rng(5)
    truth = random_truth(rng)
    found = random_tracks(rng, truth)
    for track in truth['annotations']:
        del track['boxes']
    for track in found:
        track['segmentations'] = [rle and dict(rle, counts=rle['counts'].encode()) for rle in track['segmentations']]
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    samples = [sample_of(v['id'], [t for t in found if t['video_id'] == v['id']]) for v in truth['videos']]
    return truth, found, samples


def dump(path, samples):
    metric = DumpSegResults(str(path))
    metric.process({}, [sample.to_dict() for sample in samples])
    metric.evaluate(len(samples))
    return read_results(path)


def test_dumped_tracks_give_the_same_numbers(scene, tmp_path):
    _, _, samples = scene
    results = dump(tmp_path / 'all.pkl', samples)
    again = [as_sample(result) for result in results]
    metric = lambda: YouTubeVISAP(ann_file=str(tmp_path / 'truth.json'))  # noqa: E731
    assert run(metric(), again, META) == run(metric(), samples, META)


def test_dumped_panoptic_and_semantic_videos_are_what_was_predicted(tmp_path):
    rng = np.random.default_rng(0)
    ids = torch.from_numpy(rng.choice([0, 3, 7, 9], (4, 6, 9))).int()
    ids[2][ids[2] == 7] = 0
    labels = torch.from_numpy(rng.choice([0, 2, 5], (4, 6, 9))).short()
    sample = DetDataSample(metainfo=dict(video_id=4, ori_shape=(6, 9)))
    infos = [dict(id=number, label=number % 3) for number in (3, 7, 9)]
    sample.pred_panoptic_video = dict(id_maps=list(ids), segments_info=infos)
    sample.pred_sem_seg = PixelData(sem_seg=labels)
    [result] = dump(tmp_path / 'all.pkl', [sample])
    assert [rle is None for rle in result['panoptic_video'][1]['segmentations']] == [False, False, True, False]
    again = as_sample(result)
    assert again.video_id == 4 and again.pred_panoptic_video['segments_info'] == infos
    assert torch.equal(torch.stack(again.pred_panoptic_video['id_maps']), ids)
    assert torch.equal(again.pred_sem_seg.sem_seg, labels) and again.pred_sem_seg.sem_seg.dtype == torch.int16
    sample.pred_panoptic_video = dict(id_maps=list(0 * ids), segments_info=[])
    [result] = dump(tmp_path / 'void.pkl', [sample])
    assert torch.equal(torch.stack(as_sample(result).pred_panoptic_video['id_maps']), 0 * ids)


def test_submission_is_read_by_the_official_reader(scene, tmp_path):
    truth, found, samples = scene
    path = write_youtube_vis_submission(dump(tmp_path / 'all.pkl', samples), META['category_ids'], tmp_path, 'mine')
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ['results.json']
        content = json.loads(archive.read('results.json'))
    YTVIS(truth).loadRes(copy.deepcopy(content))
    assert len(content) == len(found) and {'video_id', 'score', 'category_id', 'segmentations'} == content[0].keys()
    lengths = {video['id']: video['length'] for video in truth['videos']}
    assert all(len(entry['segmentations']) == lengths[entry['video_id']] for entry in content)
    for track in found:
        track['segmentations'] = [rle and dict(rle, counts=rle['counts'].decode()) for rle in track['segmentations']]
    both = [sorted(json.dumps(entry, sort_keys=True) for entry in side) for side in (content, found)]
    assert both[0] == both[1]


def test_no_track_at_all_and_results_of_images(tmp_path):
    empty = write_youtube_vis_submission([dict(video_id=1, tracks=[])], (1,), tmp_path, 'empty')
    with zipfile.ZipFile(empty) as archive:
        assert json.loads(archive.read('results.json')) == []
    with pytest.raises(DataError, match='image 3 has no tracks'):
        write_youtube_vis_submission([dict(img_id=3)], (1,), tmp_path, 'x')


def test_the_tool_evaluates_and_submits_tracks(scene, tmp_path, monkeypatch, capsys):
    truth, _, samples = scene
    dump(tmp_path / 'all.pkl', samples)
    (tmp_path / 'config.py').write_text(
        'test_dataloader = dict(dataset=dict('
        f"type='YouTubeVISFormat', ann_file={str(tmp_path / 'truth.json')!r}, test_mode=True))\n"
        "test_evaluator = [dict(type='YouTubeVISAP')]\n"
    )
    tool = load_tool('analysis_tools/eval_metric')

    def call(*words):
        command = ['eval_metric.py', str(tmp_path / 'config.py'), str(tmp_path / 'all.pkl'), *map(str, words)]
        monkeypatch.setattr('sys.argv', command)
        tool.main()
        return capsys.readouterr().out

    # The labels in the file are those of META, the classes of this data set are in the file's order.
    results = pickle.loads((tmp_path / 'all.pkl').read_bytes())
    order = [category['id'] for category in truth['categories']]
    for result in results:
        for track in result['tracks']:
            track['label'] = order.index(META['category_ids'][track['label']])
    (tmp_path / 'all.pkl').write_bytes(pickle.dumps(results))
    metrics = json.loads(call())
    expected = run(YouTubeVISAP(ann_file=str(tmp_path / 'truth.json')), samples, META)
    assert metrics == pytest.approx(expected)
    out = call('--submission', 'instance', '--submission-format', 'youtube-vis', '--submission-dir', tmp_path / 's')
    assert (tmp_path / 's' / 'mask2former.zip').is_file() and 'mask2former.zip' in out
    with pytest.raises(SystemExit):
        call('--submission', 'panoptic', '--submission-format', 'youtube-vis')
    assert '--submission instance' in capsys.readouterr().err
    (tmp_path / 'all.pkl').write_bytes(pickle.dumps(results[1:]))
    with pytest.raises(DataError, match='7 results, 0 of them of videos'):
        call()


def test_masks_of_bytes_and_of_text_are_written_alike(tmp_path):
    rle = encode_mask(np.eye(4, dtype=bool))
    text = dict(rle, counts=rle['counts'].decode())
    tracks = [dict(score=1, label=0, segmentations=[rle, text, None])]
    path = write_youtube_vis_submission([dict(video_id=1, tracks=tracks)], (9,), tmp_path, 'x')
    with zipfile.ZipFile(path) as archive:
        [entry] = json.loads(archive.read('results.json'))
    assert entry['segmentations'] == [text, text, None] and entry['category_id'] == 9
