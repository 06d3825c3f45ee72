"""Tracking in a stream: what comes out for each frame, and when."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from mask2former.apis import FrameTracker
from mask2former.apis.frame_pipeline import FramePipeline
from mask2former.errors import ConfigError, DataError
from mask2former.formats.rle import decode_mask
from mask2former.registry import MODELS
from tests.tiny import build_tiny, tiny_config

from .small import build_video

IMAGE = [dict(type='LoadImage'), dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='PackSegInputs')]
CLIP = [
    dict(type='SampleFrames', num_frames=None),
    dict(type='LoadFrames'),
    dict(type='TransformClip', transforms=[IMAGE[1]]),
    dict(type='PackClipInputs'),
]


def make_frames(T=5, size=(40, 56), seed=0):
    """Frames of noise in coarse blocks."""
    rng = np.random.default_rng(seed)
    return [
        np.kron(rng.integers(256, size=(5, 7, 3)), np.ones((8, 8, 1))).astype(np.uint8)[: size[0]] for _ in range(T)
    ]


def ready(model, pipeline):
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    return model.eval()


def image_model():
    return ready(build_tiny(num_queries=8), IMAGE)


def video_model(**options):
    return ready(build_video(**options), CLIP)


def packed(model, frame, **more):
    """The image model's own result of a frame."""
    results = dict(more, img=frame, img_path='', img_shape=frame.shape[:2], ori_shape=frame.shape[:2])
    for transform in FramePipeline(model.cfg).transforms:
        results = transform(results)
    with torch.no_grad():
        return model.test_step(dict(inputs=[results['inputs']], data_samples=[results['data_samples']]))[0]


def test_the_first_frame_is_the_image_models_result():
    model, [frame] = image_model(), make_frames(1)
    sample = packed(model, frame)
    [result] = FrameTracker(model, task='panoptic')([frame])
    truth = sample.pred_panoptic_seg
    assert result.frame is frame and result.index == 0 and result.id_map.dtype == torch.int32
    assert [(s['label'], s['score']) for s in result.segments_info] == [
        (s['label'], s['score']) for s in truth.segments_info
    ]
    assert len(result.segments_info) > 1
    for mine, theirs in zip(result.segments_info, truth.segments_info):
        assert torch.equal(result.id_map == mine['id'], truth.id_map[0] == theirs['id'])
    [result] = FrameTracker(model, task='semantic')([frame])
    assert torch.equal(result.sem_seg, sample.pred_sem_seg.sem_seg[0])
    [result] = FrameTracker(model, task='instance', score_thr=0)([frame])
    assert result.tracks
    masks = {
        (x, decode_mask(rle).tobytes())
        for x, rle in zip(sample.pred_instances.labels.tolist(), sample.pred_instances.masks)
    }
    assert all((track['label'], decode_mask(track['segmentation']).tobytes()) in masks for track in result.tracks)


CUT = [('online', [1, 2, 3, 4, 5]), ('whole', [5] * 5), (dict(num_frames=3, overlap=1), [3, 3, 3, 5, 5])]


@pytest.mark.parametrize('tracking, delays', CUT)
def test_results_come_when_their_clip_is_there(tracking, delays):
    taken = []

    def frames():
        for frame in make_frames():
            taken.append(frame)
            yield frame

    seen = []
    for i, result in enumerate(FrameTracker(video_model(), tracking=tracking, score_thr=0)(frames())):
        assert result.index == i and result.frame is taken[i]
        assert all(track['segmentation']['size'] == [40, 56] for track in result.tracks)
        seen.append(len(taken))
    assert seen == delays and torch.is_grad_enabled()


def test_an_image_model_sees_few_frames_of_a_whole_video_at_a_time():
    frames = make_frames(11)
    seen = []
    whole = list(FrameTracker(image_model(), task='semantic', tracking='whole')(frames, seen.append))
    assert seen == [8, 3]
    single = FrameTracker(image_model(), task='semantic', tracking=dict(num_frames=1))(frames)
    assert all(torch.equal(one.sem_seg, other.sem_seg) for one, other in zip(whole, single, strict=True))


def test_it_is_told_what_the_model_has_seen():
    model, seen = video_model(), []
    model.frames_at_once = 2
    results = FrameTracker(model, tracking='whole')(make_frames(), seen.append)
    assert not seen and next(results).index == 0 and seen == [2, 2, 1]


def test_what_cannot_be_tracked():
    with pytest.raises(ConfigError, match='whole, windows, online'):
        FrameTracker(video_model(), tracking='offline')
    with pytest.raises(ConfigError, match="gives instance results, not 'panoptic'"):
        FrameTracker(video_model(), task='panoptic')
    with pytest.raises(ConfigError, match='leave overlap out'):
        list(FrameTracker(image_model(), tracking=dict(num_frames=2, overlap=1))(make_frames(1)))
    tracker = FrameTracker(image_model(), tracking='windows')
    with pytest.raises(DataError, match=r'Frame 1 of the video is \(32, 56\)'):
        list(tracker([*make_frames(1), *make_frames(1, (32, 56))]))
    with pytest.raises(DataError, match='uint8 in the order BGR'):
        list(tracker([np.zeros((4, 4))]))
    assert list(tracker([])) == []


def test_frames_of_five_bands():
    """Each is what the model of images gives of it; what has not five is refused."""
    config = tiny_config(num_queries=8)
    config['backbone']['in_channels'] = 5
    config['data_preprocessor'].update(mean=(100.0,) * 5, std=(50.0,) * 5)
    torch.manual_seed(0)
    pipeline = [dict(type='LoadImage', bands=5), *IMAGE[1:]]
    model = ready(MODELS.build(config), pipeline)
    frames = list(np.random.default_rng(0).integers(0, 300, (2, 40, 56, 5)).astype(np.uint16))
    results = list(FrameTracker(model, task='semantic')(frames))
    for frame, result in zip(frames, results):
        assert result.frame is frame
        assert np.array_equal(result.sem_seg, packed(model, frame, bands=5).pred_sem_seg.sem_seg[0].numpy())
    with pytest.raises(DataError, match=r'an array \(H, W, 5\) of uint8, uint16, .* but it is uint8 of shape'):
        list(FrameTracker(model)(make_frames(1)))
    clips = [CLIP[0], dict(type='LoadFrames', bands=5), *CLIP[2:]]
    assert FramePipeline(ready(model, clips).cfg)(frames[0]).inputs.shape == (5, 46, 64)
