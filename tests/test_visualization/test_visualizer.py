from itertools import combinations

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as mask_utils

from mask2former.formats.rle import as_rle
from mask2former.registry import VISUALIZERS
from mask2former.visualization import SegLocalVisualizer
from mask2former.visualization.draw import drawing_size

META = dict(
    classes=('person', 'car', 'sky'), isthing=(True, True, False), palette=[(220, 20, 60), (0, 0, 142), (70, 130, 180)]
)
FIELDS = ('gt_panoptic_seg', 'gt_segments', 'pred_panoptic_seg', 'pred_instances', 'pred_sem_seg')


def make_sample(height, width, fields=FIELDS, num_instances=2):
    """Things in a row on the lower half, sky on the upper half, void between."""
    ids = np.zeros((height, width), np.int32)
    ids[: height // 2] = 1
    infos = [dict(id=1, label=2, isthing=False)]
    masks = np.zeros((num_instances, height, width), bool)
    step = max(1, width // max(1, num_instances))
    for i in range(num_instances):
        masks[i, height // 2 + 2 :, i * step : i * step + step] = True
        ids[masks[i]] = i + 2
        infos.append(dict(id=i + 2, label=i % 2, isthing=True))
    labels = torch.arange(num_instances) % 2
    sem_seg = np.full((height, width), 255)
    for info in infos:
        sem_seg[ids == info['id']] = info['label']
    id_map = torch.from_numpy(ids[None])
    values = dict(
        gt_panoptic_seg=PixelData(
            metainfo=dict(segments_info=[dict(info, iscrowd=0) for info in infos]), id_map=id_map
        ),
        gt_segments=InstanceData(labels=labels, masks=torch.from_numpy(masks)),
        gt_instances=InstanceData(labels=labels, masks=as_rle(masks)),
        gt_sem_seg=PixelData(sem_seg=torch.from_numpy(sem_seg[None]), metainfo=dict(ignore_index=255)),
        pred_panoptic_seg=PixelData(
            metainfo=dict(segments_info=[dict(info, score=0.97) for info in infos]), id_map=id_map
        ),
        pred_instances=InstanceData(
            labels=labels,
            scores=torch.linspace(1, 0.1, num_instances),
            bboxes=torch.zeros(num_instances, 4),
            masks=as_rle(masks),
        ),
        pred_sem_seg=PixelData(sem_seg=torch.from_numpy(sem_seg[None])),
    )
    sample = DetDataSample()
    for name in fields:
        setattr(sample, name, values[name])
    return sample


@pytest.fixture
def visualizer():
    visualizer = VISUALIZERS.build(dict(type='SegLocalVisualizer', name='test'))
    visualizer.dataset_meta = META
    return visualizer


def gray(height, width):
    return np.full((height, width, 3), 100, np.uint8)


def num_panels(drawn, height, width):
    """How many panels of an image whose drawing has the same size a picture holds."""
    columns, rows = round(drawn.shape[1] / width), round(drawn.shape[0] / (height + 24))
    return columns, rows


@pytest.mark.parametrize('fields', [c for n in range(6) for c in combinations(FIELDS, n)])
def test_every_combination_of_fields(visualizer, fields):
    drawn = visualizer.draw_datasample(gray(400, 600), make_sample(400, 600, fields))
    panels = 1 + len(fields) - (FIELDS[0] in fields and FIELDS[1] in fields)
    columns, rows = num_panels(drawn, 400, 600)
    assert drawn.dtype == np.uint8 and columns * rows - panels in (0, 1)


@pytest.mark.parametrize('draw_gt, draw_pred, expected', [(True, False, 2), (False, True, 4), (False, False, 1)])
def test_ground_truth_and_predictions_are_optional(visualizer, draw_gt, draw_pred, expected):
    drawn = visualizer.draw_datasample(gray(400, 600), make_sample(400, 600), draw_gt, draw_pred)
    columns, rows = num_panels(drawn, 400, 600)
    assert columns * rows == expected


def test_no_sample_draws_the_image(visualizer):
    image = np.random.RandomState(0).randint(0, 255, (512, 600, 3), dtype=np.uint8)
    drawn = visualizer.draw_datasample(image)
    assert (drawn[-512:] == image).all()


@pytest.mark.parametrize('height, width', [(1, 1), (7, 128), (128, 128), (512, 512), (3000, 2000), (40, 4000)])
def test_sizes(visualizer, height, width):
    drawn = visualizer.draw_datasample(gray(height, width), make_sample(height, width))
    panel_height, panel_width = drawing_size((height, width), (512, 1600))
    assert 3 * panel_width <= drawn.shape[1] < 3 * panel_width + 40
    assert 2 * panel_height < drawn.shape[0] < 2 * panel_height + 140


@pytest.mark.parametrize('shape', [(90, 120), (90, 120, 1)])
def test_gray_images(visualizer, shape):
    assert visualizer.draw_datasample(np.zeros(shape, np.uint8), make_sample(90, 120)).shape[2] == 3


def test_panels_have_the_colours_of_the_classes(visualizer):
    visualizer.alpha = 1.0
    drawn = visualizer.draw_datasample(gray(600, 600), make_sample(600, 600, ('pred_sem_seg',)))
    panel = drawn[-600:, -600:]
    assert panel[20, 20].tolist() == list(META['palette'][2])
    assert panel[500, 20].tolist() == list(META['palette'][0])
    assert panel[500, 580].tolist() == list(META['palette'][1])


def test_instances_of_one_class_differ(visualizer):
    visualizer.alpha = 1.0
    drawn = visualizer.draw_datasample(gray(600, 600), make_sample(600, 600, ('pred_panoptic_seg',), 6))
    panel = drawn[-600:, -600:]
    assert len({tuple(panel[590, 100 * i + 10]) for i in range(6)}) == 6


@pytest.mark.parametrize(
    ('truth', 'prediction'),
    [
        ('gt_panoptic_seg', 'pred_panoptic_seg'),
        ('gt_segments', 'pred_instances'),
        ('gt_instances', 'pred_instances'),
        ('gt_sem_seg', 'pred_sem_seg'),
    ],
)
def test_ground_truth_of_every_task_is_a_panel(visualizer, truth, prediction):
    """Drawn like a prediction without its scores, between it and the image."""
    sample = make_sample(60, 90, (truth, prediction))
    image = np.zeros((60, 90, 3), np.uint8)
    panels = visualizer._collect(sample, (60, 90), True, True, 0.0)
    assert [title for title, _ in panels][0] == 'Ground truth' and len(panels) == 2
    np.testing.assert_array_equal(panels[0][1].id_map, panels[1][1].id_map)
    assert panels[0][1].colors == panels[1][1].colors and panels[0][1].id_map.any()
    widths = [visualizer.draw_datasample(image, sample, draw_gt=draw_gt).shape[1] for draw_gt in (True, False)]
    assert widths[0] > widths[1]


def test_low_scores_are_left_out(visualizer):
    sample = make_sample(600, 600, ('pred_instances',))  # scores 1.0 and 0.1
    low = visualizer.draw_datasample(gray(600, 600), sample, pred_score_thr=0.3)[-600:, -600:]
    all_ = visualizer.draw_datasample(gray(600, 600), sample, pred_score_thr=0.0)[-600:, -600:]
    assert low[590, 580].tolist() == [100] * 3 and all_[590, 580].tolist() != [100] * 3


def test_no_instance_crowd_unlisted_and_many(visualizer):
    for num_instances in (0, 30):
        visualizer.draw_datasample(gray(300, 600), make_sample(300, 600, num_instances=num_instances))
    sample = make_sample(300, 600)
    sample.gt_panoptic_seg.segments_info[1]['iscrowd'] = 1
    sample.pred_panoptic_seg.segments_info.pop()  # an id that is not listed is void
    sample.pred_panoptic_seg.segments_info.append(dict(id=99, label=0, isthing=True, score=0.5))  # no pixels
    visualizer.draw_datasample(gray(300, 600), sample)


def test_all_void(visualizer):
    sample = DetDataSample()
    sample.pred_panoptic_seg = PixelData(
        metainfo=dict(segments_info=[]), id_map=torch.zeros(1, 600, 600, dtype=torch.int32)
    )
    sample.pred_sem_seg = PixelData(sem_seg=torch.full((1, 600, 600), 255))
    drawn = visualizer.draw_datasample(gray(600, 600), sample)
    assert (drawn[-600:, -600:] < 60).all(), 'void is darker than the image'


def test_without_dataset_meta():
    SegLocalVisualizer().draw_datasample(gray(300, 600), make_sample(300, 600))


@pytest.mark.parametrize('names', [('人', '汽车', '天空'), ('пешеход', 'Straße', '😀'), ('a' * 300, '', '\n')])
def test_unicode_and_odd_names(visualizer, names):
    visualizer.dataset_meta = dict(META, classes=names)
    visualizer.draw_datasample(gray(300, 600), make_sample(300, 600))


def test_another_size_is_refused(visualizer):
    with pytest.raises(ValueError, match=r'Panoptic.*\(30, 40\).*\(60, 80\)'):
        visualizer.draw_datasample(gray(60, 80), make_sample(30, 40, ('pred_panoptic_seg',)))


@pytest.mark.parametrize('options', [dict(alpha=2.0), dict(panel_sides=(600, 500)), dict(panel_sides=(0, 500))])
def test_bad_options_are_refused(options):
    with pytest.raises(ValueError):
        SegLocalVisualizer(**options)


def test_out_file_is_rgb_and_its_folder_is_made(visualizer, tmp_path):
    file = tmp_path / 'new' / 'folder' / 'a.png'
    visualizer.add_datasample('a', gray(600, 600), make_sample(600, 600), out_file=str(file))
    written = cv2.imread(str(file))[..., ::-1]
    assert (written == visualizer.draw_datasample(gray(600, 600), make_sample(600, 600))).all()


def test_backends_get_the_picture(tmp_path):
    visualizer = SegLocalVisualizer(vis_backends=[dict(type='LocalVisBackend')], save_dir=str(tmp_path))
    visualizer.add_datasample('val', gray(60, 60), make_sample(60, 60), step=7)
    assert len(list(tmp_path.rglob('val_7.png'))) == 1


def test_show_opens_a_window_with_the_name(visualizer, monkeypatch):
    shown = []
    monkeypatch.setattr(visualizer, 'show', lambda drawn, win_name, wait_time: shown.append((win_name, wait_time)))
    visualizer.add_datasample('title', gray(60, 60), make_sample(60, 60), show=True, wait_time=3)
    assert shown == [('title', 3)]


def test_run_lengths_and_bitmaps_are_drawn_alike(visualizer):
    sample = make_sample(90, 120, ('pred_instances',), 4)
    encoded = visualizer.draw_datasample(gray(90, 120), sample)
    masks = np.stack([mask_utils.decode(mask) for mask in sample.pred_instances.masks])
    sample.pred_instances.masks = torch.from_numpy(masks).bool()
    assert np.array_equal(visualizer.draw_datasample(gray(90, 120), sample), encoded)


def test_no_instances_are_drawn_as_the_image(visualizer):
    for count, threshold in ((0, 0.3), (2, 2.0)):
        sample = make_sample(600, 800, ('pred_instances',), count)
        drawn = visualizer.draw_datasample(gray(600, 800), sample, pred_score_thr=threshold)
        assert np.array_equal(drawn[100:600, 850:1500], drawn[100:600, 50:700])
