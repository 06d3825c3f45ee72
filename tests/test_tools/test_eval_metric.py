"""eval_metric.py gives the numbers of the test that wrote the results, and submissions."""

import json
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from panopticapi.evaluation import pq_compute
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mask2former.apis import run_config
from mask2former.formats.rle import as_rle
from tests.tiny import name_run
from tests.tools import load_tool


def nearly_right(data):
    """In the place of an untrained model: the ground truth moved by 2 px, with the first segment's class changed."""
    for sample in data['data_samples']:
        truth = sample.gt_panoptic_seg
        id_map = truth.id_map.roll(2, dims=-1)
        infos = [
            dict(id=s['id'], label=s['label'], isthing=s['isthing'], score=1 / (place + 1))
            for place, s in enumerate(truth.segments_info)
            if (id_map == s['id']).any()
        ]
        infos[-1]['label'] = infos[0]['label']
        sample.pred_panoptic_seg = PixelData(id_map=id_map, metainfo=dict(segments_info=infos))
        things = [info for info in infos if info['isthing']]
        masks = torch.cat([id_map == info['id'] for info in things])
        sample.pred_instances = InstanceData(
            labels=torch.tensor([info['label'] for info in things]),
            masks=as_rle(masks),
            scores=torch.tensor([info['score'] for info in things]),
            bboxes=masks_to_boxes(masks),
        )
        labels = torch.zeros_like(id_map, dtype=torch.int64)
        for info in infos:
            labels[id_map == info['id']] = info['label']
        sample.pred_sem_seg = PixelData(sem_seg=labels)
    return data['data_samples']


def masks_to_boxes(masks):
    points = [mask.nonzero() for mask in masks]
    return torch.stack([torch.cat([p.min(0).values.flip(0), p.max(0).values.flip(0) + 1]) for p in points]).float()


@pytest.fixture(scope='module')
def tested(run, tmp_path_factory):
    """The folder of a test run through tools/test.py: test_metrics.json and all.pkl."""
    folder = tmp_path_factory.mktemp('tested')
    module = load_tool('test')
    build = run_config.build_runner
    patch = pytest.MonkeyPatch()

    def build_runner(cfg):
        name_run(cfg)
        runner = build(cfg)
        runner.model.test_step = nearly_right
        return runner

    patch.setattr(run_config, 'build_runner', build_runner)
    patch.setattr(
        'sys.argv',
        ['test.py', str(run.config), str(run.full), '--work-dir', str(folder), '--out', str(folder / 'all.pkl')],
    )
    module.main()
    patch.undo()
    return folder


def call(monkeypatch, *arguments):
    monkeypatch.setattr('sys.argv', ['eval_metric.py', *map(str, arguments)])
    load_tool('analysis_tools/eval_metric').main()


def test_offline_equals_online(run, tested, tmp_path, monkeypatch):
    call(monkeypatch, run.config, tested / 'all.pkl', '--out', tmp_path / 'metrics.json')
    online = json.loads((tested / 'test_metrics.json').read_text())
    assert json.loads((tmp_path / 'metrics.json').read_text()) == online
    assert 20 < online['PQ'] < 99 and 10 < online['segm_mAP'] < 99 and 20 < online['mIoU'] < 99


def test_results_of_other_images_are_refused(run, tested, tmp_path, monkeypatch):
    results = pickle.loads((tested / 'all.pkl').read_bytes())
    (tmp_path / 'part.pkl').write_bytes(pickle.dumps(results[1:]))
    with pytest.raises(ValueError, match='has 4 results, 0 of them of images .* has 5, lacks'):
        call(monkeypatch, run.config, tmp_path / 'part.pkl')


def test_results_of_images_of_equal_ids_are_compared_by_their_names(run, tested, tmp_path, monkeypatch, capsys):
    results = pickle.loads((tested / 'all.pkl').read_bytes())
    for name, path in (
        ('moved', lambda old: f'/elsewhere/{Path(old).name}'),
        ('other', lambda old: '/elsewhere/x.jpg'),
    ):
        for result in results:
            result['img_path'] = path(result['img_path'])
        (tmp_path / f'{name}.pkl').write_bytes(pickle.dumps(results))
    call(monkeypatch, run.config, tmp_path / 'moved.pkl')
    assert "Warning: the results are of '/elsewhere/" in capsys.readouterr().err
    with pytest.raises(ValueError, match="has results of '/elsewhere/x.jpg', the test set of .* under that id"):
        call(monkeypatch, run.config, tmp_path / 'other.pkl')


def test_panoptic_submission_gives_panopticapi_the_same_pq(run, shapes, tested, tmp_path, monkeypatch):
    call(monkeypatch, run.config, tested / 'all.pkl', '--submission', 'panoptic', '--submission-dir', tmp_path)
    stem = 'panoptic_test-dev2017_mask2former_results'
    with zipfile.ZipFile(tmp_path / f'{stem}.zip') as archive:
        archive.extractall(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [stem, f'{stem}.json', f'{stem}.zip']
    result = pq_compute(
        str(shapes / 'annotations' / 'panoptic_val.json'),
        str(tmp_path / f'{stem}.json'),
        str(shapes / 'annotations' / 'panoptic_val'),
        str(tmp_path / stem),
    )
    online = json.loads((tested / 'test_metrics.json').read_text())
    assert 100 * result['All']['pq'] == pytest.approx(online['PQ'], abs=1e-10)


def test_instance_submission_gives_pycocotools_the_same_ap(run, shapes, tested, tmp_path, monkeypatch):
    call(monkeypatch, run.config, tested / 'all.pkl', '--submission', 'instance', '--submission-dir', tmp_path)
    stem = 'detections_test-dev2017_mask2former_results'
    with zipfile.ZipFile(tmp_path / f'{stem}.zip') as archive:
        archive.extractall(tmp_path)
    truth = COCO(str(shapes / 'annotations' / 'instances_val.json'))
    detections = [d for d in json.loads((tmp_path / f'{stem}.json').read_text()) if d['category_id'] in truth.cats]
    evaluation = COCOeval(truth, truth.loadRes(detections), 'segm')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    online = json.loads((tested / 'test_metrics.json').read_text())
    assert 100 * evaluation.stats[0] == pytest.approx(online['segm_mAP'], abs=1e-10)
