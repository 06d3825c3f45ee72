"""What everybody is measured on: one config, one batch of random images, one set of random weights."""

import torch
from mmengine.config import Config
from torch import Tensor, nn

from mask2former.apis.config_check import check_config
from mask2former.apis.run_config import change_config
from mask2former.datasets.metainfo import dataset_metainfo
from mask2former.engine.allocator import keep_freed_memory
from mask2former.errors import ConfigError
from mask2former.models import Mask2Former

from .clips import is_video, make_clips, video_weights
from .contestants import Contestant, build_model, our_contestant, peer_contestant
from .peers import freeze_norms, load_weights, peer_weights
from .synthetic import make_batch, make_confident, randomise

OURS = 'mask2former'
# Of the largest logit. Rounding may move a logit across zero, and a query then looks at one position more: some logits
# differ more than by rounding, but not many and not much.
TOLERANCE = dict(median=1e-4, worst=0.05)


def batch_shapes(spec: dict) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """The sizes of the padded input, the image in it and the original image."""
    h, w = spec['size']
    return (-(-h // 32) * 32, -(-w // 32) * 32), (h, w), tuple(spec['ori_size'] or (h, w))


def logit_errors(found: tuple[Tensor, Tensor], expected: list[Tensor]) -> dict[str, float]:
    """How far logits are from the expected ones, relative to the largest: the median and the worst."""
    errors = torch.cat([((x.cpu().float() - y).abs() / y.abs().max()).flatten() for x, y in zip(found, expected)])
    return dict(median=float(errors.median()), worst=float(errors.max()))


def agrees(errors: dict[str, float]) -> bool:
    """Whether such errors are those of rounding; NaN is not."""
    return all(errors[key] <= limit for key, limit in TOLERANCE.items())


class Scene:
    """A benchmark's common ground.

    Args:
        spec: The arguments of :mod:`benchmarks.side_by_side`.
    """

    def __init__(self, spec: dict) -> None:
        self.spec = spec
        if spec['threads']:
            torch.set_num_threads(spec['threads'])
        self.device = torch.device(spec['device'])
        self.cfg = Config.fromfile(spec['config'])
        change_config(self.cfg, spec['cfg_options'])
        check_config(self.cfg, spec['cfg_options'], complete=False)
        video = is_video(self.cfg.model)
        self.outputs = spec['outputs'] or (['tracks'] if video else ['panoptic', 'instance'])
        self.num_frames = spec['frames'] or (2 if spec['mode'] == 'train' else 30)
        if video and spec['channels_last']:
            raise ConfigError('Clips cannot have their channels last: leave out --channels-last.')
        if video and (spec.get('profile') or spec.get('floor')):
            raise ConfigError('The parts of a model of videos are not timed: leave out --profile and --floor.')
        try:
            self.metainfo = dataset_metainfo(self.cfg.test_dataloader.dataset)
        except FileNotFoundError:  # a benchmark needs no data: classes by number do
            self.metainfo = dict(classes=[str(i) for i in range(133)], isthing=[i < 80 for i in range(133)])
        vit = self.cfg.model.backbone
        if vit.get('grid_size') is not None:  # learned positions of the size of the images, as peers have them
            vit.grid_size = tuple(side // vit.get('patch_size', 16) for side in batch_shapes(spec)[0])

    def batch(self) -> tuple[Tensor, list]:
        """The images and targets, the same in every process."""
        counts, sizes = [self.spec['segments']] * self.spec['batch_size'], batch_shapes(self.spec)
        if is_video(self.cfg.model):
            images, samples = make_clips(counts, self.num_frames, *sizes, len(self.metainfo['classes']))
        else:
            images, samples = make_batch(counts, *sizes, len(self.metainfo['classes']))
        images = images.to(self.device)
        if self.spec['channels_last']:
            images = images.to(memory_format=torch.channels_last)
        return images, [sample.to(self.device) for sample in samples]

    def common_weights(self) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The weights that everybody takes, under our names, and the logits that everybody must reach with them."""
        torch.manual_seed(0)
        model = build_model(self.cfg.model, self.metainfo, self.spec['queries'], self.outputs)
        model.init_weights()
        randomise(model)
        if hasattr(model.head, 'mask_probability'):  # as at the beginning of a training, and after it
            model.head.mask_probability.fill_(float(self.spec['mode'] == 'train'))
        images, _ = self.batch()
        model.eval().to(self.device)
        if self.spec['mode'] == 'predict':
            make_confident(model, images)
        with torch.no_grad():
            logits = [x.cpu() for x in model(images, mode='tensor')]
        return {key: value.cpu() for key, value in model.state_dict().items()}, logits

    def contestant(self, name: str, weights: dict[str, Tensor]) -> Contestant:
        """A contestant, ready to train or to predict.

        Args:
            name: 'mask2former', 'mmdet' or 'transformers'.
            weights: The common ones, under the contestant's own names (:meth:`weights_of`).
        """
        spec, (images, samples) = self.spec, self.batch()
        if name == OURS:
            if spec['mode'] == 'train':
                keep_freed_memory()  # as a training does
            model = build_model(self.cfg.model, self.metainfo, spec['queries'], self.outputs)
            model.load_state_dict(weights)
            model.to(self.device)
            contestant = our_contestant(model, self.cfg, images, samples, spec['amp'])
        else:
            queries = spec['queries'] or self.cfg.model.head.num_queries
            contestant = peer_contestant(
                name, self.cfg.model, self.metainfo, queries, images, samples, self.outputs, spec['amp']
            )
            load_weights(name, contestant.model, weights)
        contestant.model.train(spec['mode'] == 'train')
        freeze_norms(contestant.model)
        if spec['channels_last']:
            contestant.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if spec['compile']:
            for part in compiled_parts(contestant.model):
                part.compile()
        return contestant

    def weights_of(self, name: str, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The common weights under the names of a contestant."""
        if name == OURS:
            return weights
        weights = peer_weights(name, weights)
        return video_weights(weights) if is_video(self.cfg.model) else weights


def compiled_parts(model: nn.Module) -> list[nn.Module]:
    """What ``--compile`` compiles: of ours what ``tools/train.py --compile`` does, of a peer the whole model."""
    return [model.backbone, model.pixel_decoder, model.head] if isinstance(model, Mask2Former) else [model]
