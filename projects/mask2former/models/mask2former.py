"""Mask2Former (Cheng et al., CVPR 2022, arXiv 2112.01527): the model that wires the five parts."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from mmdet.structures import DetDataSample
from mmengine.model import BaseModel
from torch import Tensor

from mask2former.errors import ConfigError
from mask2former.ops.linear import use_onednn
from mask2former.registry import MODELS, TASK_UTILS

from .backbones.input_conv import image_channels
from .backbones.plain_vit import PlainViT
from .head import HeadOutput
from .masks import Geometry, LazyMasks
from .normalization import check_normalization, with_normalization
from .pixel_decoder import FPNPixelDecoder
from .postprocess import View, ViewMerger, merge
from .pretrained_vit import check_parts
from .sliding_window import SlidingWindow

# Whether images flipped in this direction are flipped up and down, and left and right.
FLIPS = {'horizontal': (False, True), 'vertical': (True, False), 'diagonal': (True, True)}


@MODELS.register_module()
class Mask2Former(BaseModel):
    """Universal segmentation: one model and one target for panoptic, instance and semantic segmentation.

    Args:
        backbone: Config of the backbone: images (B, 3, H, W) to features, fine to coarse. Its plain linear layers are
            turned into those of :mod:`mask2former.ops.linear`, which are faster on CPUs. For images of N bands it needs
            ``in_channels=N``, and the data preprocessor ``mean`` and ``std`` of N entries.
        pixel_decoder: Config of the pixel decoder. ``in_channels`` and ``strides`` follow from the backbone.
        head: Config of the head. ``num_classes`` follows from the metainfo; ``embed_dims``, ``mask_dims`` and
            ``num_levels`` from the pixel decoder.
        criterion: Config of the criterion. ``num_classes`` follows from the metainfo.
        postprocessors: Configs of what makes results of the last decoder output, under any names; None leaves one out.
        metainfo: ``classes`` and ``isthing`` of the data set. ``SegRunner`` fills it in.
        sliding_window: ``crop_size`` and ``stride``, (height, width) each, of the windows in which images are tested,
            see :class:`SlidingWindow`; for semantic results only. By default images are tested whole.
        data_preprocessor: Config of the data preprocessor. ``mean`` and ``std`` that are left out follow from the
            backbone's weights, where those say them.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        backbone: dict,
        pixel_decoder: dict,
        head: dict,
        criterion: dict,
        postprocessors: Mapping[str, dict | None],
        metainfo: Mapping | None = None,
        sliding_window: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if metainfo is None:
            raise ConfigError(
                'Mask2Former needs the classes of the data set: build it through SegRunner or '
                'mask2former.apis, or give metainfo=dict(classes=[...], isthing=[...]).'
            )
        backbone_module = use_onednn(MODELS.build(backbone))
        data_preprocessor = with_normalization(data_preprocessor or dict(type='SegDataPreprocessor'), backbone_module)
        super().__init__(MODELS.build(data_preprocessor), init_cfg)
        isthing = tuple(bool(x) for x in metainfo['isthing'])
        num_classes = len(metainfo['classes'])
        if len(isthing) != num_classes:
            raise ConfigError(f'metainfo has {num_classes} classes, but isthing has {len(isthing)} entries')
        self.classes = tuple(metainfo['classes'])
        self.isthing = isthing
        self.backbone = backbone_module
        check_normalization(self.data_preprocessor, self.backbone)
        check_patches(self.data_preprocessor, self.backbone)
        if 'in_channels' not in pixel_decoder:
            pixel_decoder = dict(pixel_decoder, **feature_layout(self.backbone))
        self.pixel_decoder = MODELS.build(pixel_decoder)
        widths = {name: getattr(self.pixel_decoder, name) for name in ('embed_dims', 'mask_dims', 'num_levels')}
        self.head = MODELS.build(dict(head, num_classes=num_classes), default_args=widths)
        self.criterion = MODELS.build(dict(criterion, num_classes=num_classes))
        self.postprocessors = [TASK_UTILS.build(cfg) for cfg in postprocessors.values() if cfg is not None]
        self.sliding_window = None if sliding_window is None else SlidingWindow(**sliding_window)
        wrong = [type(x).__name__ for x in self.postprocessors if not isinstance(x, ViewMerger)]
        if self.sliding_window is not None and wrong:
            raise ConfigError(
                f'sliding_window is for semantic results only, not for {", ".join(wrong)}: an object that '
                'lies in two windows would be two. Set model.postprocessors to dict(panoptic=None, '
                'instance=None), or leave sliding_window out.'
            )

    def init_weights(self) -> None:
        """Initialise the weights. Some backbones learn only here how images are normalised for theirs.

        Raises:
            ConfigError: If the data preprocessor does something else, or if blocks of a pretrained transformer are in
                both parts of it or in none.
        """
        super().init_weights()
        check_normalization(self.data_preprocessor, self.backbone)
        check_parts(self.backbone, self.head)

    def forward(
        self, inputs: Tensor, data_samples: list[DetDataSample] | None = None, mode: str = 'tensor'
    ) -> dict[str, Tensor] | list[DetDataSample] | tuple[Tensor, Tensor]:
        """Run the model.

        Args:
            inputs: (B, 3, H, W), normalised, H and W multiples of 32.
            data_samples: Targets for 'loss', sizes for 'predict'.
            mode: 'loss', 'predict' or 'tensor'.

        Returns:
            The losses; the data samples with predictions; or the last decoder output's class logits (B, Q, K + 1) and
            mask logits (B, Q, H/4, W/4).
        """
        if mode == 'tensor':
            output = self.extract(inputs)
            return output.class_logits[-1], output.mask_logits()
        if mode not in ('loss', 'predict'):
            raise ValueError(f"mode must be 'loss', 'predict' or 'tensor', not '{mode}'")
        assert data_samples is not None, 'losses need targets, results need sizes'
        return self.loss(inputs, data_samples) if mode == 'loss' else self.predict(inputs, data_samples)

    def extract(self, inputs: Tensor, *drawn: Tensor) -> HeadOutput:
        """Backbone, pixel decoder, head, which gets the random numbers that it has drawn."""
        features = self.backbone(inputs)  # (B, channels, H/stride, W/stride) each
        mask_features, memory = self.pixel_decoder(features)  # (B, C, h, w), L times (B, C, h_l, w_l)
        return self.head(mask_features, memory, *drawn)

    def projects(self, device: torch.device) -> bool:
        """Whether mask features are worth computing to the end in a test.

        They are where the head needs them itself, or where the masks of all postprocessors together may be more than
        their channels. Only processors gain: on GPUs a convolution of ever other sizes is slow.
        """
        return (
            device.type != 'cpu'
            or torch.is_autocast_enabled(device.type)
            or not isinstance(self.pixel_decoder, FPNPixelDecoder)
            or getattr(self.head, 'masked_attention', True)
            or self.head.query_embed.num_embeddings * len(self.postprocessors) > self.pixel_decoder.mask_dims
        )

    def loss(self, inputs: Tensor, data_samples: list[DetDataSample]) -> dict[str, Tensor]:
        """Losses of a batch."""
        draw = getattr(self.head, 'draw', None)  # of heads whose random numbers follow the images
        seeds = [sample.get('seed') for sample in data_samples]
        output = self.extract(inputs, *([] if draw is None else [draw(seeds, inputs.device)]))
        for sample in data_samples:  # the matcher names the image where predictions are not finite
            known = {key: sample.get(key) for key in ('seed', 'step') if key in sample}
            sample.gt_segments.set_metainfo(dict(img_id=self.name_of(sample), **known))
        return self.criterion(output, [sample.gt_segments for sample in data_samples])

    @staticmethod
    def name_of(sample: DetDataSample) -> str | int:
        """What messages call an image."""
        return sample.get('img_id', sample.get('img_path', '?'))

    @torch.no_grad()
    def predict(self, inputs: Tensor, data_samples: list[DetDataSample]) -> list[DetDataSample]:
        """Results of a batch, set on the data samples at the images' original sizes."""
        for sample, views in zip(data_samples, self.views(inputs, data_samples)):
            self.postprocess(views, sample)
        return data_samples

    def views(self, inputs: Tensor, data_samples: list[DetDataSample]) -> Sequence[Iterable[View]]:
        """What the postprocessors need of each image: one view, or as many as there are windows.

        The model runs on a window when it is asked for.
        """
        geometries = [geometry_of(sample) for sample in data_samples]
        if self.sliding_window is not None:
            divisor = getattr(self.data_preprocessor, 'size_divisor', 32)
            return self.sliding_window.views(self.extract, inputs, geometries, divisor)
        if project := self.projects(inputs.device):
            output = self.extract(inputs).full_precision()
        else:
            output = self.head(*self.pixel_decoder(self.backbone(inputs), project=False)).full_precision()
        shape = (inputs.shape[2], inputs.shape[3])
        form = None if project else self.pixel_decoder.form_masks
        masks = [
            LazyMasks(output.mask_embed[-1, b], output.mask_features[b], shape, form=form, **geometry)
            for b, geometry in enumerate(geometries)
        ]
        return [[View(output.class_logits[-1, b], x)] for b, x in enumerate(masks)]

    def postprocess(self, views: Iterable[View], sample: DetDataSample, min_iou: float | None = None) -> None:
        """Set an image's results on its data sample; see :func:`mask2former.models.postprocess.merge`."""
        with torch.autocast(next(self.parameters()).device.type, enabled=False):
            merge(self.postprocessors, views, self.isthing, sample, min_iou)


def geometry_of(sample: DetDataSample) -> Geometry:
    """How the image of a data sample was resized and flipped."""
    return Geometry(
        img_shape=tuple(sample.img_shape[:2]),
        ori_shape=tuple(sample.ori_shape[:2]),
        flips=FLIPS[sample.flip_direction] if sample.get('flip') else (False, False),
    )


def check_patches(data_preprocessor: torch.nn.Module, backbone: torch.nn.Module) -> None:
    """See that images are as large as the patches of a plain vision transformer: it would pass over what remains.

    Raises:
        ConfigError: If their sizes are multiples of something else.
    """
    divisor, patch = getattr(data_preprocessor, 'size_divisor', None), getattr(backbone, 'patch_size', None)
    if isinstance(backbone, PlainViT) and divisor is not None and divisor % patch:
        raise ConfigError(
            f'Images are padded to multiples of {divisor} pixels, but the patches of the backbone have {patch}: set '
            f'model.data_preprocessor.size_divisor to a multiple of {patch}.'
        )


@torch.no_grad()
def feature_layout(backbone: torch.nn.Module) -> dict[str, list[int]]:
    """``in_channels`` and ``strides`` of a backbone's features, found by showing it a small image."""
    size = 128
    training = backbone.training
    backbone.eval()
    features = backbone(torch.zeros(1, image_channels(backbone), size, size))
    backbone.train(training)
    return dict(in_channels=[x.shape[1] for x in features], strides=[size // x.shape[-1] for x in features])
