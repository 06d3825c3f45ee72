"""The tool that compares our evaluator with pycocotools: what it compares is equal, and it notices if it is not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import average_precision
from mask2former.errors import DataError

ROOT = Path(__file__).parents[2]
pytest.importorskip('faster_coco_eval')


@pytest.fixture(scope='module')
def small(shared_data, tmp_path_factory):
    """Six real images."""
    content = json.loads((shared_data / 'coco_panoptic_200/annotations/instances_train2017.json').read_text())
    content['images'] = content['images'][:6]
    ids = [image['id'] for image in content['images']]
    content['annotations'] = [a for a in content['annotations'] if a['image_id'] in ids]
    path = tmp_path_factory.mktemp('ap') / 'small.json'
    path.write_text(json.dumps(content))
    return path, content


@pytest.mark.slow
def test_command_line(small, tmp_path):
    path, content = small
    command = [
        sys.executable,
        '-m',
        'benchmarks.average_precision',
        '--ann-file',
        str(path),
        '--images',
        '12',
        '--detections',
        '30',
        '--json',
        str(tmp_path / 'figures.json'),
        '--repeats',
        '2',
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / 'figures.json').read_text())
    assert report['annotations'] == 2 * len(content['annotations'])
    assert (report['images'], report['detections'], report['repeats']) == (12, 360, 2)
    for kind in ('segm', 'bbox'):
        row = report[kind]
        assert 0.1 < row['mAP'] < 0.9 and row['difference'] < 1e-12
        assert row['ratio'] == pytest.approx(row['pycocotools']['median'] / row['ours']['median'])
        assert 0 < row['ours']['min'] <= row['ours']['median'] <= row['ours']['max']
    failed = subprocess.run([*command[:3], '--ann-file', 'none.json'], cwd=ROOT, capture_output=True, text=True)
    assert failed.returncode == 1 and "ground truth 'none.json' is not there" in failed.stderr


def test_unequal_results_are_noticed(small, monkeypatch):
    truth, detections = average_precision.make_case(str(small[0]), 6, 10)
    assert len(detections) == 60 and {d['image_id'] for d in detections} == set(range(1, 7))
    ours = average_precision.run_ours
    monkeypatch.setattr(average_precision, 'run_ours', lambda truth, found, kind: ours(truth, found[:-9], kind))
    with pytest.raises(DataError, match='The two evaluators differ by .* for segm'):
        average_precision.compare(truth, detections, 'segm', 1)
