"""Results of whole videos: panoptic and semantic against plain ones on dense masks, and in windows."""

import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample

from mask2former.evaluation import SegmentationTrackingQuality, VideoPanopticQuality
from mask2former.formats.rle import areas_of
from mask2former.models.masks import LazyMasks
from mask2former.models.postprocess import PanopticFusion, SemanticInference
from mask2former.models.postprocess.plain import full_size_logits, panoptic_fusion, semantic_inference
from mask2former.models.video import Clip, ClipPanopticFusion, ClipSemanticInference, QueryTracker, TrackTopK

from .small import build_video

Q, K = 12, 4
ISTHING = (True, False, True, False)
SHAPES = dict(batch_shape=(32, 48), img_shape=(30, 44), ori_shape=(25, 40))


def make_clip(T, seed=0):
    """A clip of smooth masks, whose queries are sure of a class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(Q) % (K + 1)
    logits = F.one_hot(labels, K + 1).double() * 6 + torch.rand(Q, K + 1, generator=generator)
    embed = torch.cat((3 * torch.eye(Q), torch.full((Q, 1), -2.0)), 1).double()  # masks that cover a part of the image
    coarse = torch.randn(T, Q + 1, 3, 4, generator=generator).double()
    coarse[:, Q] = 1
    features = F.interpolate(coarse, size=(8, 12), mode='bilinear')
    return Clip(logits, None, [LazyMasks(embed, x, **SHAPES) for x in features])


def dense(clip):
    """All masks (T, Q, H, W)."""
    return torch.stack([full_size_logits(x.mask_embed, x.mask_features, **SHAPES) for x in clip.masks])


@pytest.mark.parametrize('overlap_thr', [0.3, 0.6])
@pytest.mark.parametrize('inside_mask', [True, False])
@pytest.mark.parametrize('T', [1, 3])
def test_panoptic_videos_are_fused_as_one_tall_image(T, inside_mask, overlap_thr):
    """At the full size, frames are an image side by side: the rules look at pixels and areas alone."""
    clip = make_clip(T)
    tall = dense(clip).transpose(0, 1).flatten(1, 2)  # (Q, T * H, W)
    truth, segments = panoptic_fusion(clip.class_logits, tall, ISTHING, 0.8, overlap_thr, inside_mask)
    sample = DetDataSample()
    ClipPanopticFusion(0.8, overlap_thr, inside_mask)([clip], ISTHING, sample)
    found = sample.pred_panoptic_video
    assert [x['label'] for x in found['segments_info']] == [x['label'] for x in segments] and len(segments) > 2
    maps = torch.stack(found['id_maps'])
    assert (maps == 0).sum() == (truth == 0).sum()
    for mine, theirs in zip(found['segments_info'], segments):
        assert torch.equal(maps == mine['id'], (truth == theirs['id']).view(maps.shape))
    if T == 1:  # and that of an image
        image = DetDataSample()
        PanopticFusion(0.8, overlap_thr, inside_mask)(clip.class_logits, clip.masks[0], ISTHING, image)
        assert torch.equal(image.pred_panoptic_seg.id_map[0], truth)


def test_segments_are_dropped_by_their_areas_in_the_whole_clip():
    clip, differs = make_clip(3), 0
    sample, frame = DetDataSample(), DetDataSample()
    ClipPanopticFusion(0.8, 0.5)([clip], ISTHING, sample)
    of_video = {x['label'] for x in sample.pred_panoptic_video['segments_info']}
    for masks in clip.masks:
        PanopticFusion(0.8, 0.5)(clip.class_logits, masks, ISTHING, frame)
        differs += {x['label'] for x in frame.pred_panoptic_seg.segments_info} != of_video
    assert differs


def test_ids_are_the_same_in_all_clips_of_a_video():
    clips = [make_clip(2), make_clip(1, seed=1)._replace(class_logits=make_clip(2).class_logits)]
    sample = DetDataSample()
    ClipPanopticFusion(0.8, 0.2)(iter(clips), ISTHING, sample)
    found = sample.pred_panoptic_video
    label_of = {x['id']: x['label'] for x in found['segments_info']}
    assert len(found['id_maps']) == 3 and len(label_of) == len(found['segments_info'])
    labels = make_clip(2).class_logits.argmax(-1).tolist()
    for number, label in label_of.items():
        assert (labels[number - 1] == label) if ISTHING[label] else number == Q + 1 + label
    assert any(ISTHING[x] for x in label_of.values()) and not all(ISTHING[x] for x in label_of.values())


def test_metrics_of_panoptic_videos_take_what_comes_out():
    sample = DetDataSample(metainfo=dict(video_id=3))
    ClipPanopticFusion(0.8, 0.2)([make_clip(4)], ISTHING, sample)
    data = sample.to_dict()
    found = data['pred_panoptic_video']
    infos = [dict(x, iscrowd=0) for x in found['segments_info']]
    data['gt_panoptic_video'] = dict(id_maps=found['id_maps'], segments_info=infos)
    meta = dict(classes=tuple('abcd'), isthing=ISTHING)
    for metric, name in (
        (VideoPanopticQuality(windows=(1, 4)), 'VPQ'),
        (SegmentationTrackingQuality(), 'tracking/STQ'),
    ):
        metric.dataset_meta = meta
        metric.process({}, [data])
        assert metric.evaluate(1)[name] == pytest.approx(100)


@pytest.mark.parametrize('resize', ['masks', 'scores'])
def test_semantic_videos(resize):
    clip, sample = make_clip(3), DetDataSample()
    ClipSemanticInference(resize)([clip], ISTHING, sample)
    found = sample.pred_sem_seg.sem_seg
    assert found.shape == (3, 25, 40) and found.dtype == torch.int16
    for one, masks, logits in zip(found, clip.masks, dense(clip)):
        frame = DetDataSample()
        SemanticInference(resize)(clip.class_logits, masks, ISTHING, frame)
        assert torch.equal(one.long(), frame.pred_sem_seg.sem_seg[0])
        if resize == 'masks':
            assert torch.equal(one.long(), semantic_inference(clip.class_logits, logits))


def test_tracks_of_several_clips_are_ranked_by_the_last_mean():
    clips = [make_clip(2), make_clip(1, seed=1)]
    sample = DetDataSample()
    TrackTopK(5)(iter(clips), (True,) * K, sample)
    scores = clips[1].class_logits.softmax(-1)[:, :-1].flatten()
    best = scores.argsort(descending=True)[:5]
    assert [track['label'] for track in sample.pred_tracks] == (best % K).tolist()
    for track, query in zip(sample.pred_tracks, (best // K).tolist()):
        assert len(track['segmentations']) == 3
        areas = [(logits[query] > 0).sum() for clip in clips for logits in dense(clip)]
        assert [0 if rle is None else areas_of([rle])[0] for rle in track['segmentations']] == areas


def predict(model, frames, **tracking):
    model.tracker = QueryTracker(**tracking)
    sample = DetDataSample(metainfo=dict(video_id=1, img_shape=(40, 60), ori_shape=(40, 60)))
    return model.test_step(dict(inputs=[frames], data_samples=[sample]))[0].pred_tracks


def test_a_window_as_long_as_the_video_is_the_video():
    model = build_video().eval()
    frames = torch.randint(256, (5, 3, 40, 60), generator=torch.Generator().manual_seed(0)).byte()
    whole = predict(model, frames)
    assert predict(model, frames, num_frames=5) == predict(model, frames, num_frames=9, overlap=4) == whole
    batch = model.data_preprocessor(dict(inputs=[frames], data_samples=[DetDataSample()]))
    sample = DetDataSample(metainfo=dict(video_id=1, img_shape=(40, 60), ori_shape=(40, 60)))
    model.tracker = type(model.tracker)()
    [sample] = model(batch['inputs'], [sample], mode='predict')  # prepared all at once
    assert sample.pred_tracks == whole and len(whole) == 10
    for options in (dict(num_frames=1), dict(num_frames=3, overlap=1)):
        assert all(len(track['segmentations']) == 5 for track in predict(model, frames, **options))


def test_frames_of_fractions_are_normalised_as_those_of_bytes():
    """The data loader gives float32 where the bands of TIFF files are; they are not prepared yet."""
    model = build_video().eval()
    frames = torch.randint(256, (3, 3, 40, 60), generator=torch.Generator().manual_seed(0)).byte()
    assert predict(model, frames.float()) == predict(model, frames)


def test_half_features_change_edges_only():
    model = build_video().eval()
    frames = torch.randint(256, (3, 3, 40, 60), generator=torch.Generator().manual_seed(0)).byte()
    geometry = dict(img_shape=(40, 60), ori_shape=(40, 60), flips=(False, False))
    with torch.no_grad():
        exact = model.predict_clip(frames, geometry)
        model.half_features = True
        half = model.predict_clip(frames, geometry)
    assert half.masks[0].mask_features.dtype == torch.half
    queries = torch.arange(5)
    for one, other in zip(exact.masks, half.masks):
        a, b = (torch.cat([strip for _, strip in x.rows(queries)]) for x in (one, other))
        assert a.dtype == b.dtype == torch.float32
        assert (a - b).abs().max() < 0.02 * a.abs().max()
