"""Clips, a video model, and mmdet's with the same weights."""

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from benchmarks.clips import build_mmdet_video, video_weights
from benchmarks.peers import load_weights, peer_weights
from mask2former.registry import MODELS
from tests.test_models.peers import build_ours
from tests.tiny import tiny_config


def video_config(time_position: bool = True, **head) -> dict:
    """Config of a tiny model of clips."""
    config = tiny_config()
    config.update(type='VideoMask2Former', data_preprocessor=dict(type='ClipDataPreprocessor'))
    config['head'].update(type='ClipHead', time_position=time_position, **head)
    config['criterion'].update(type='ClipCriterion', matcher=dict(type='ClipMatcher'))
    config['postprocessors'] = dict(tracks=dict(type='TrackTopK'))
    config['metainfo'] = dict(classes=('a', 'b', 'c', 'd'), isthing=(True, True, True, True))
    return config


def build_video(seed: int = 0, **options) -> torch.nn.Module:
    torch.manual_seed(seed)
    model = MODELS.build(video_config(**options))
    model.init_weights()
    return model


def make_clip(num_tracks: int, num_frames: int, size: tuple[int, int] = (64, 96), seed: int = 0) -> DetDataSample:
    """A data sample whose tracks are boxes that move; the first is absent from the first frame."""
    generator = torch.Generator().manual_seed(seed)
    masks = torch.zeros(num_tracks, num_frames, *size, dtype=torch.bool)
    for n in range(num_tracks):
        y, x = (int(torch.randint(side // 2, (), generator=generator)) for side in size)
        for t in range(num_frames):
            masks[n, t, y + t : y + t + 20, x + 2 * t : x + 2 * t + 25] = n > 0 or t > 0 or num_frames == 1
    labels = torch.randint(4, (num_tracks,), generator=generator)
    sample = DetDataSample(metainfo=dict(video_id=seed, img_shape=size, ori_shape=size))
    sample.gt_segments = InstanceData(labels=labels, masks=masks)
    return sample


def build_mmdet() -> tuple[torch.nn.Module, torch.nn.Module]:
    """Our model with a ResNet-50 and COCO's classes, and mmdet's with its weights."""
    image = build_ours('r50')
    peer = build_mmdet_video(Config(dict(backbone=dict(type='FrozenBNResNet', depth=50))), 133, 100)
    load_weights('mmdet', peer, video_weights(peer_weights('mmdet', image.state_dict())))
    return image, peer.eval()


def as_video(image: torch.nn.Module) -> torch.nn.Module:
    """A model of clips with the parts and weights of a model of images."""
    head = dict(type='ClipHead', num_queries=100, num_layers=9, num_heads=8, ffn_dims=2048)
    clip_head = MODELS.build(dict(head, num_classes=133, embed_dims=256, mask_dims=256, num_levels=3))
    clip_head.load_state_dict(image.head.state_dict(), strict=True)

    def extract(inputs):
        from mask2former.models.video import VideoMask2Former

        model = torch.nn.Module()
        model.backbone, model.pixel_decoder, model.head = image.backbone, image.pixel_decoder, clip_head.eval()
        model.few_frames = lambda frames: 3
        model.encode = VideoMask2Former.encode.__get__(model)
        return VideoMask2Former.extract(model, inputs)

    return extract
