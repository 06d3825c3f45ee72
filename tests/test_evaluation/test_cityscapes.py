"""Cityscapes' metrics and submission files against cityscapesscripts, on real scenes in its official files."""

import copy
import json
import runpy
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mask2former.evaluation import DumpSegResults
from mask2former.evaluation.cityscapes_names import frame_of, instance_ids_path
from mask2former.evaluation.cityscapes_submission import write_cityscapes_submission
from mask2former.evaluation.results_file import read_results
from mask2former.registry import METRICS

from .cityscapes_scenes import ROOT, disturb, read_scenes, write_scenes
from .samples import instances, run, run_on_ranks, sample

pytest.importorskip('pyquaternion', reason='cityscapesscripts imports it')
official = pytest.importorskip('cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling')
COUNT = 36


def build(**options):
    return METRICS.build(dict(type='CityscapesInstanceAP', **options))


@pytest.fixture(scope='module')
def scenes(coco_val, tmp_path_factory):
    """The folder, the samples with predictions and the metainfo."""
    root = tmp_path_factory.mktemp('cityscapes')
    write_scenes(coco_val, COUNT, root)
    dataset, samples = read_scenes(root)
    rng = np.random.default_rng(0)
    return root, [disturb(s, root, dataset.metainfo, rng) for s in samples], dataset.metainfo


@pytest.fixture(scope='module')
def submitted(scenes, tmp_path_factory):
    """The folder of all.pkl, as tools/test.py --out writes it, and of the three submissions of it, unpacked."""
    _, samples, meta = scenes
    folder = tmp_path_factory.mktemp('submitted')
    dump = DumpSegResults(str(folder / 'all.pkl'))
    dump.process(None, [s.to_dict() for s in samples])
    dump.evaluate(COUNT)
    results = read_results(folder / 'all.pkl')
    for task in ('semantic', 'instance', 'panoptic'):
        path = write_cityscapes_submission(results, meta, task, folder, 'ours', split='val')
        assert path == folder / f'cityscapes_{task}_val_ours.zip'
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / task)
    return folder


def official_ap(root, results, monkeypatch, tmp_path):
    """Return the result of cityscapesscripts' own way: files of predictions, files of ground truth."""
    monkeypatch.setattr(np, 'in1d', np.isin, raising=False)  # which numpy 2.4 has no more
    # Its intermediate files, which nothing reads here: numpy's present integers are no JSON.
    monkeypatch.setattr(official, 'writeDict2JSON', lambda content, path: None)
    args = copy.copy(official.args)
    args.predictionPath, args.predictionWalk = str(results.resolve()), None
    args.gtInstancesFile, args.JSONOutput, args.quiet = str(tmp_path / 'gtInstances.json'), False, True
    truths = sorted(map(str, (root / 'gtFine/val/aachen').glob('*_instanceIds.png')))
    return official.evaluateImgLists([official.getPrediction(truth, args) for truth in truths], truths, args)


def test_instance_ap_and_submission_equal_cityscapesscripts(scenes, submitted, monkeypatch, tmp_path):
    root, samples, meta = scenes
    expected = official_ap(root, submitted / 'instance', monkeypatch, tmp_path)['averages']
    result = run(build(), samples, meta)
    # to the last bit
    assert result == {'cityscapes/AP': 100 * expected['allAp'], 'cityscapes/AP50': 100 * expected['allAp50%']}
    assert 10 < result['cityscapes/AP'] < result['cityscapes/AP50'] < 90
    of_class = {f'cityscapes/AP/{name}': 100 * value['ap'] for name, value in expected['classes'].items()}
    assert len(of_class) == 8 and run(build(classwise=True), samples, meta) == result | of_class
    assert all(value['ap'] > 0 for value in expected['classes'].values())  # all 8 have objects

    shares = (range(0, COUNT, 2), range(COUNT - 1, 20, -2), range(1, 20, 2))
    assert run_on_ranks(build, samples, meta, shares) == result
    assert run(build(gt_dir=str(root / 'gtFine/val')), samples, meta) == result
    # The instance config has the 8 things as its classes.
    kept = [label for label, thing in enumerate(meta['isthing']) if thing]
    things = dict(classes=tuple(meta['classes'][label] for label in kept))
    renumbered = []
    for s in samples:
        found = s.pred_instances[np.isin(s.pred_instances.labels, kept)]
        found.labels = found.labels - kept[0]
        renumbered.append(sample(s.img_id, pred_instances=found))
        renumbered[-1].set_metainfo(dict(img_path=s.img_path))
    assert run(build(), renumbered, things) == result


def test_semantic_submission_equals_miou(scenes, submitted):
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as pixel_level

    root, samples, meta = scenes
    args = copy.copy(pixel_level.args)
    args.predictionPath, args.predictionWalk = str(submitted / 'semantic'), None
    args.evalInstLevelScore, args.JSONOutput, args.quiet = False, False, True
    truths = sorted(map(str, (root / 'gtFine/val/aachen').glob('*_labelIds.png')))
    expected = pixel_level.evaluateImgLists([pixel_level.getPrediction(args, path) for path in truths], truths, args)
    ids, names = list(meta['category_ids']), list(meta['classes'])
    counts = np.array(expected['confMatrix'])  # (34, 34), ground truth first
    assert counts[ids].sum(axis=1).all()  # an absent class that is predicted would count there, with IoU 0
    ious = np.array([expected['classScores'][name] for name in names])
    priors = np.array([expected['priors'][name] for name in names])
    args.normalized = True
    recalls = [pixel_level.getMatrixFieldValue(counts, i, i, args) for i in ids]
    values = dict(
        mIoU=expected['averageScoreClasses'],
        fwIoU=(priors * ious).sum() / priors.sum(),
        mAcc=np.mean(recalls),
        aAcc=(priors * recalls).sum() / priors.sum(),
    )
    result = run(METRICS.build(dict(type='SemanticIoU')), samples, meta)
    assert result == pytest.approx({key: 100 * value for key, value in values.items()}, abs=1e-12)
    assert 40 < result['mIoU'] < 90


def test_panoptic_submission_equals_pq(scenes, submitted, tmp_path):
    from cityscapesscripts.evaluation import evalPanopticSemanticLabeling as panoptic_level

    root, samples, meta = scenes
    expected = panoptic_level.evaluatePanoptic(
        str(root / 'gtFine/cityscapes_panoptic_val.json'),
        str(root / 'gtFine/cityscapes_panoptic_val'),
        str(submitted / 'panoptic/cityscapes_panoptic_val.json'),
        str(submitted / 'panoptic/cityscapes_panoptic_val'),
        str(tmp_path / 'result.json'),
    )
    result = run(METRICS.build(dict(type='PanopticQuality')), samples, meta)
    for suffix, group in (('', 'All'), ('_th', 'Things'), ('_st', 'Stuff')):
        for key in ('PQ', 'SQ', 'RQ'):
            assert result[key + suffix] == pytest.approx(100 * expected[group][key.lower()], abs=1e-12)
    assert 40 < result['PQ'] < 90


@pytest.fixture
def eval_metric(monkeypatch):
    """A call of tools/analysis_tools/eval_metric.py with the panoptic config."""
    main = runpy.run_path(str(ROOT / 'tools/analysis_tools/eval_metric.py'))['main']
    config = ROOT / 'configs/cityscapes/panoptic/mask2former_r50_90k_cityscapes-panoptic.py'

    def call(*arguments):
        monkeypatch.setattr('sys.argv', ['eval_metric.py', str(config), *map(str, arguments)])
        main()

    return call


def test_the_tool_writes_the_same_files(submitted, eval_metric, tmp_path, capsys):
    """From the file of tools/test.py --out, without annotations."""
    arguments = [
        submitted / 'all.pkl',
        '--submission-dir',
        tmp_path,
        '--submission-name',
        'ours',
        '--submission',
        'semantic',
    ]
    eval_metric(*arguments, '--submission-format', 'cityscapes')
    with zipfile.ZipFile(tmp_path / 'cityscapes_semantic_test_ours.zip') as archive:
        assert len(archive.namelist()) == COUNT
        for name in archive.namelist():
            assert archive.read(name) == (submitted / 'semantic' / name).read_bytes()
    with pytest.raises(SystemExit):
        eval_metric(*arguments)
    assert 'COCO takes no semantic results: give --submission-format cityscapes' in capsys.readouterr().err


def test_one_pass_of_the_tool_gives_all_metrics(scenes, submitted, eval_metric, tmp_path):
    root, samples, meta = scenes
    eval_metric(
        submitted / 'all.pkl',
        '--out',
        tmp_path / 'metrics.json',
        '--cfg-options',
        f'test_dataloader.dataset.data_root={root}',
    )
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    alone = {}
    for name in ('PanopticQuality', 'InstanceAP', 'CityscapesInstanceAP', 'SemanticIoU'):
        alone.update(run(METRICS.build(dict(type=name)), samples, meta))
    assert metrics == alone and len(alone) == 27


def test_nothing_predicted_and_no_ground_truth(scenes, tmp_path):
    root, samples, meta = scenes
    size = samples[0].ori_shape
    empty = sample(0, pred_instances=instances([], [], np.zeros((0, *size))))
    empty.set_metainfo(dict(img_path=samples[0].img_path))
    assert run(build(), [empty], meta) == {'cityscapes/AP': 0, 'cityscapes/AP50': 0}
    (tmp_path / 'aachen').mkdir()
    frame = frame_of(samples[0].img_path)
    Image.fromarray(np.full(size, 4, np.uint8)).save(tmp_path / 'aachen' / f'{frame}_gtFine_instanceIds.png')
    assert run(build(gt_dir=str(tmp_path)), [samples[0]], meta) == {'cityscapes/AP': -1, 'cityscapes/AP50': -1}


def test_names():
    path = '/data/leftImg8bit/x/leftImg8bit/val/bad-ems/bad-ems_000001_000019_leftImg8bit.png'
    assert frame_of(path) == 'bad-ems_000001_000019'
    expected = Path('/data/leftImg8bit/x/gtFine/val/bad-ems/bad-ems_000001_000019_gtFine_instanceIds.png')
    assert Path(instance_ids_path(path)) == expected
    assert Path(instance_ids_path(Path(path).name, 'gt')) == Path('gt/bad-ems') / expected.name
    for name in ('aachen_0001_000019.png', 'aachen_000001.png', '000001_000019_leftImg8bit.png'):
        with pytest.raises(ValueError, match="not named as Cityscapes' images are"):
            frame_of(name)
    with pytest.raises(ValueError, match="lies in no folder 'leftImg8bit'.*gt_dir"):
        instance_ids_path('images/aachen_000001_000019.png')


def test_faults_are_named(scenes, tmp_path):
    _, samples, meta = scenes
    with pytest.raises(FileNotFoundError, match="fix CityscapesInstanceAP's gt_dir"):
        build(gt_dir=str(tmp_path / 'none'))
    with pytest.raises(FileNotFoundError, match='_gtFine_instanceIds.png. is not there: unpack gtFine'):
        run(build(gt_dir=str(tmp_path)), samples[:1], meta)
    with pytest.raises(ValueError, match="No class of the data set is one of Cityscapes' instance classes, person"):
        run(build(), samples[:1], dict(classes=('cat', 'dog')))
    with pytest.raises(ValueError, match='got an image twice'):
        run(build(), [samples[0], samples[0]], meta)
    small = sample(0, pred_instances=instances([11], [1.0], np.ones((1, 4, 5))))
    small.set_metainfo(dict(img_path=samples[0].img_path))
    with pytest.raises(ValueError, match=r'is \(4, 5\) \(H, W\) but its ground truth'):
        run(build(), [small], meta)
    with pytest.raises(ValueError, match="has no 'semantic': test with the semantic postprocessor"):
        write_cityscapes_submission([dict(img_id=3)], meta, 'semantic', tmp_path, 'ours')
