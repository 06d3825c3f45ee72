"""The model of clips: batches, a training step, tracks."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData, PixelData
from pycocotools import mask as mask_utils

from mask2former.errors import ConfigError, NonFiniteError
from mask2former.models.postprocess.plain import full_size_logits
from mask2former.models.video import ClipDataPreprocessor

from .small import build_video, make_clip


def test_a_batch_of_clips():
    generator = torch.Generator().manual_seed(0)
    clips = [torch.randint(256, (2, 3, *size), generator=generator).byte() for size in ((30, 40), (33, 20))]
    samples = []
    for clip in clips:
        h, w = clip.shape[-2:]
        layers = torch.randint(4, (4, h, w), generator=generator).byte()  # two layers a frame
        sample = DetDataSample(metainfo=dict(img_shape=(h, w), ori_shape=(h, w)))
        sample.gt_segments = InstanceData(labels=torch.tensor([1, 0]), ids=torch.tensor([1, 3]).byte())
        sample.gt_seg_map = PixelData(id_map=layers)
        samples.append((sample, layers))
    batch = ClipDataPreprocessor()(dict(inputs=clips, data_samples=[sample for sample, _ in samples]), training=True)
    assert batch['inputs'].shape == (2, 2, 3, 64, 64)
    mean, std = torch.tensor([123.675, 116.28, 103.53]), torch.tensor([58.395, 57.12, 57.375])
    pixel = (clips[1][1, :, 7, 9].flip(0) - mean) / std
    torch.testing.assert_close(batch['inputs'][1, 1, :, 7, 9], pixel)
    assert batch['inputs'][1, :, :, 33:].abs().max() == batch['inputs'][1, :, :, :, 20:].abs().max() == 0
    for sample, (_, layers) in zip(batch['data_samples'], samples):
        masks, (h, w) = sample.gt_segments.masks, layers.shape[-2:]
        assert masks.shape == (2, 2, 64, 64) and masks.dtype == torch.bool
        for t in range(2):
            for mask, value in zip(masks[:, t, :h, :w], (1, 3)):
                assert torch.equal(mask, (layers[2 * t : 2 * t + 2] == value).any(0))
        assert masks.sum() == masks[..., :h, :w].sum()
    with pytest.raises(ConfigError, match='clips of a batch have 2, 3 frames'):
        ClipDataPreprocessor()(dict(inputs=[clips[0], clips[0].repeat(2, 1, 1, 1)[:3]]))


def test_a_training_step():
    model = build_video().train()
    samples = [make_clip(n, 2, seed=n) for n in (3, 1)]
    losses = model(torch.randn(2, 2, 3, 64, 96), samples, mode='loss')
    assert set(losses) == {'loss_class', 'loss_mask', 'loss_dice', 'loss_aux'}
    sum(losses.values()).backward()
    assert [name for name, x in model.named_parameters() if x.requires_grad and x.grad is None] == []


def test_nonfinite_predictions_name_the_video():
    with pytest.raises(NonFiniteError, match='of video 5'):
        build_video()(torch.full((1, 2, 3, 64, 96), torch.nan), [make_clip(2, 2, seed=5)], mode='loss')


@pytest.mark.parametrize('frames_at_once', [1, 2, 100])
def test_tracks_are_the_best_pairs_with_their_masks_in_every_frame(frames_at_once):
    model = build_video().eval()
    inputs = torch.randn(1, 5, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    shapes = dict(img_shape=(60, 90), ori_shape=(45, 70))
    model.frames_at_once = 8
    with torch.no_grad():
        output = model.extract(inputs)
    model.frames_at_once = frames_at_once
    [sample] = model(inputs, [DetDataSample(metainfo=dict(video_id=1, **shapes))], mode='predict')
    scores = output.class_logits[-1, 0].softmax(-1)[:, :-1]
    best = scores.flatten().argsort(descending=True)[:10]
    assert [track['label'] for track in sample.pred_tracks] == (best % 4).tolist()
    torch.testing.assert_close(torch.tensor([track['score'] for track in sample.pred_tracks]), scores.flatten()[best])
    absent = present = 0
    for t in range(5):
        logits = full_size_logits(output.mask_embed[-1, 0], output.mask_features[0, t], (64, 96), **shapes)
        for track, query in zip(sample.pred_tracks, (best // 4).tolist()):
            rle, mask = track['segmentations'][t], logits[query] > 0
            absent, present = absent + (rle is None), present + (rle is not None)
            found = torch.zeros_like(mask) if rle is None else torch.from_numpy(mask_utils.decode(rle)).bool()
            assert (found != mask).float().mean() < 1e-3
    assert present > 0


def test_the_contract_of_tensor_mode():
    class_logits, mask_logits = build_video().eval()(torch.randn(2, 3, 3, 64, 96))
    assert class_logits.shape == (2, 5, 5) and mask_logits.shape == (2, 5, 3, 16, 24)


def test_windows_are_refused():
    from mask2former.registry import MODELS

    from .small import video_config

    window = dict(crop_size=(64, 64), stride=(32, 32))
    with pytest.raises(ConfigError, match='sliding_window'):
        MODELS.build(dict(video_config(), sliding_window=window))


def test_frames_at_once_follow_from_their_size():
    model = build_video()
    sizes = [(8, 8), (480, 864), (720, 1280), (2160, 3840)]
    assert [model.few_frames([torch.empty(3, *size)]) for size in sizes] == [8, 2, 1, 1]
    model.frames_at_once = 5
    assert model.few_frames([torch.empty(3, 8, 8)]) == 5
