"""demo/image_demo.py: what it writes and prints, and what it says of bad files."""

import json
import runpy
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from mask2former.apis import SegInferencer
from mask2former.formats.panoptic_png import read_id_map

from .forked import run_forked
from .tiny import ROOT


@pytest.fixture(scope='module')
def run(tiny_run):
    return tiny_run


def demo(*arguments):
    return run_forked(ROOT / 'demo' / 'image_demo.py', *arguments)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folder_with_bad_files(run, tmp_path):
    folder, out = tmp_path / 'images', tmp_path / 'out'
    shutil.copytree(run.images, folder)
    image = cv2.imread(str(folder / '000000.jpg'))
    cv2.imwrite(str(folder / '000000.png'), image)
    (folder / '000001.jpg').write_bytes(b'no image')
    (folder / '000002.jpg').unlink()
    (folder / '000002.jpg').symlink_to('absent.jpg')
    done = demo(folder, run.config, run.checkpoint, '--out-dir', out, '--score-thr', '0', '--device', 'cpu')

    assert done.returncode == 1 and 'Traceback' not in done.stderr, done.stderr
    lines = done.stdout.splitlines()
    assert [line.partition(':')[0] for line in lines[:-1]] == [
        '000000.jpg',
        '000000.png',
        '000001.jpg',
        '000002.jpg',
        '000003.jpg',
    ]
    assert 'segment' in lines[0] and 'instance' in lines[0]
    assert 'skipped: Image file' in lines[2] and 'cannot be decoded' in lines[2]
    assert "skipped: There is no image '" in lines[3]
    assert lines[-1] == f'3 of 5 done; results are in {out}.'
    assert '5/5' in done.stderr
    stems = ('000000', '000000_2', '000003')
    assert names(out) == sorted(stem + suffix for stem in stems for suffix in ('.jpg', '.json', '.png'))

    for stem in stems:
        result = json.loads((out / f'{stem}.json').read_text())
        id_map = read_id_map(str(out / result['id_map']))
        assert len(result['panoptic']) > 0 and len(result['instances']) > 0
        assert {segment['id'] for segment in result['panoptic']} == set(np.unique(id_map).tolist()) - {0}
        for segment in result['panoptic']:
            assert np.array_equal(coco_mask.decode(segment['segmentation']), id_map == segment['id'])
        assert cv2.imread(str(out / f'{stem}.jpg')).shape[1] > 2 * 512


@pytest.fixture
def demo_here(monkeypatch, capsys):
    """Runs the demo in this process, which is faster: gives the exit status or message, and what it printed."""

    def run_main(*arguments):
        monkeypatch.setattr(sys, 'argv', ['image_demo.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            runpy.run_path(str(ROOT / 'demo' / 'image_demo.py'), run_name='__main__')
        return stopped.value.code, capsys.readouterr()

    return run_main


def test_one_image_in_its_own_folder_is_not_written_over(run, tmp_path, demo_here):
    image = shutil.copy(run.images / '000000.jpg', tmp_path)
    before = (tmp_path / '000000.jpg').read_bytes()
    status, printed = demo_here(image, run.config, run.checkpoint, '--out-dir', tmp_path, '--no-png')
    assert status == 0
    assert names(tmp_path) == ['000000.jpg', '000000_2.jpg', '000000_2.json']
    assert (tmp_path / '000000.jpg').read_bytes() == before
    assert 'id_map' not in json.loads((tmp_path / '000000_2.json').read_text())
    assert '%|' not in printed.err


def test_augmentation_is_the_inferencer_s(run, tmp_path, demo_here):
    image, results = run.images / '000000.jpg', []
    for number, options in enumerate([(), ('--tta',)]):
        out = tmp_path / str(number)
        status, _ = demo_here(
            image, run.config, run.checkpoint, '--out-dir', out, '--score-thr', '0', '--device', 'cpu', *options
        )
        assert status == 0
        results.append(json.loads((out / '000000.json').read_text()))
        inferencer = SegInferencer(run.config, run.checkpoint, device='cpu', score_thr=0, tta=bool(options))
        [sample] = inferencer(image)
        assert json.loads(json.dumps(inferencer.to_json(sample)))['instances'] == results[-1]['instances']
    assert results[0]['instances'] != results[1]['instances']


def test_missing_files_are_one_sentence(run, tmp_path, demo_here):
    image = run.images / '000000.jpg'
    torch.save(dict(epoch=1), tmp_path / 'bad.pth')
    for arguments, said in (
        ((image, run.config, tmp_path / 'absent.pth'), "There is no checkpoint '"),
        ((image, tmp_path / 'absent.py', run.checkpoint), "There is no config '"),
        ((image, run.config, tmp_path / 'bad.pth'), 'holds no weights'),
        ((tmp_path, run.config, run.checkpoint), 'has no image'),
    ):
        status, _ = demo_here(*arguments, '--out-dir', tmp_path / 'out')
        assert status.startswith('Error: ') and said in status and '\n' not in status
    assert not (tmp_path / 'out').exists()
    status, printed = demo_here(tmp_path / 'absent.jpg', run.config, run.checkpoint, '--out-dir', tmp_path / 'out')
    assert status == 1 and 'There is no image' in printed.out
