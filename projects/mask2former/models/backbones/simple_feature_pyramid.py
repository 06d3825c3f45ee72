"""A pyramid of the last features of a plain vision transformer: ViTDet (Li et al., ECCV 2022, arXiv 2203.16527)."""

import math

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models.normalization import Normalization
from mask2former.ops.winograd import Conv3x3
from mask2former.registry import MODELS

from .input_conv import image_channels, input_conv


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Features at strides 4, 8, 16 and 32 from one map (section 3, "Simple feature pyramid").

    The map is enlarged by two transposed convolutions, by one, left as it is, and pooled; a convolution of size 1 and
    one of size 3 follow, each with a norm over the channels, as in ViTDet's code.

    Images of any size are padded with zeros at the right and bottom to a multiple of the patch's side. Where that is
    not 16 (14 in DINOv2), the map is resized, bilinearly, so that its cells lie where those of stride 16 do; what
    belongs to the padding is cut off.

    Args:
        backbone: Config of a backbone whose last features are those of patches, such as ``HFBackbone`` with a DINOv2.
        out_channels: Channels of the features.
        init_cfg: mmengine's initialisation config.

    Raises:
        ConfigError: If the backbone's features are no map of patches.
    """

    def __init__(self, backbone: dict, out_channels: int = 256, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.backbone = MODELS.build(backbone)
        channels, self.patch = self._last_features()
        scales = {
            'stride4': (_enlarge(channels, twice=True), channels // 4),
            'stride8': (_enlarge(channels, twice=False), channels // 2),
            'stride16': (nn.Identity(), channels),
            'stride32': (nn.MaxPool2d(2), channels),
        }
        self.scales = nn.ModuleDict(
            {name: nn.Sequential(scale, *_output(width, out_channels)) for name, (scale, width) in scales.items()}
        )

    @property
    def normalization(self) -> Normalization | None:
        """How images are normalised for the backbone's weights, None where it is not known."""
        return getattr(self.backbone, 'normalization', None)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Features (B, out_channels, H/s, W/s) at strides s of 4, 8, 16 and 32.

        Args:
            x: (B, in_channels, H, W), H and W multiples of 32.
        """
        H, W = x.shape[-2:]
        x = F.pad(x, (0, -W % self.patch, 0, -H % self.patch))  # (B, in_channels, H', W')
        features = self.backbone(x)[-1]  # (B, C, H'/patch, W'/patch)
        if self.patch != 16:
            features = F.interpolate(
                features, scale_factor=self.patch / 16, mode='bilinear', recompute_scale_factor=False
            )  # (B, C, H'/16, W'/16)
        features = features[:, :, : math.ceil(H / 16), : math.ceil(W / 16)]  # (B, C, H/16, W/16)
        return tuple(scale(features) for scale in self.scales.values())

    @torch.no_grad()
    def _last_features(self) -> tuple[int, int]:
        """Channels of the last features, and the side of a patch."""
        size = 224
        training = self.backbone.training
        self.backbone.eval()
        features = self.backbone(torch.zeros(1, image_channels(self.backbone), size, size))[-1]
        self.backbone.train(training)
        patch = int(input_conv(self.backbone)[1].stride[0])
        if features.shape[1] % 4 or features.shape[-1] != size // patch:
            raise ConfigError(
                f'SimpleFeaturePyramid needs a map of patches, but the last features of {type(self.backbone).__name__} '
                f'are {tuple(features.shape)} of an image {size} x {size}: give a plain vision transformer.'
            )
        return features.shape[1], patch


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _enlarge(channels: int, twice: bool) -> nn.Module:
    """(B, C, h, w) to (B, C/2, 2h, 2w), or twice to (B, C/4, 4h, 4w)."""
    half = channels // 2
    first = nn.ConvTranspose2d(channels, half, 2, stride=2)
    if not twice:
        return first
    return nn.Sequential(
        first, ChannelNorm(half, eps=1e-6), nn.GELU(), nn.ConvTranspose2d(half, half // 2, 2, stride=2)
    )


def _output(width: int, out_channels: int) -> list[nn.Module]:
    return [
        nn.Conv2d(width, out_channels, 1, bias=False),
        ChannelNorm(out_channels, eps=1e-6),
        Conv3x3(out_channels, out_channels, bias=False),
        ChannelNorm(out_channels, eps=1e-6),
    ]
