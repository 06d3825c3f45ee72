"""A plain vision transformer: DINOv2 with registers, DINOv3, or any other of patches, prefix tokens, equal blocks."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.models.layers import run
from mask2former.models.pretrained_vit import load_vit, wants_weights
from mask2former.models.vit_layers import ViTBlock, init_blocks
from mask2former.ops.precision import full_dtype
from mask2former.registry import MODELS


@MODELS.register_module()
class PlainViT(BaseModule):
    """The first blocks of a vision transformer, for a head that has the last ones.

    Positions are learned and added to the patches (DINOv2: ``grid_size``), or rotate queries and keys (DINOv3: no
    ``grid_size``), see :func:`patch_rotation`.

    Args:
        embed_dims: C.
        num_layers: Blocks.
        num_heads: Attention heads.
        ffn_dims: Inner width of the feed-forward networks.
        patch_size: Side of a patch in pixels.
        grid_size: Rows and columns of patches for which positions are learned; other sizes get them interpolated. None
            for rotated positions.
        num_registers: Register tokens beside the class token.
        gated: See :class:`ViTBlock`, as ``key_bias`` and ``layer_scale``.
        key_bias: Whether keys have a bias.
        layer_scale: What the scales of the branches start at.
        norm_eps: Epsilon of the norms: 1e-6 in DINOv2, 1e-5 in DINOv3.
        drop_path_rate: Share of the images for which a branch is left out in training.
        position_rescale: Rotated positions are scaled in training by a random factor between its reciprocal and itself,
            one for each batch (2 in DINOv3); None for none.
        with_cp: Whether to compute each block once more in the backward pass instead of keeping what is inside.
        init_cfg: mmengine's initialisation config.
    """

    def __init__(
        self,
        embed_dims: int,
        num_layers: int,
        num_heads: int,
        ffn_dims: int,
        patch_size: int = 16,
        grid_size: Sequence[int] | None = None,
        num_registers: int = 4,
        gated: bool = False,
        key_bias: bool = True,
        layer_scale: float = 1.0,
        norm_eps: float = 1e-6,
        drop_path_rate: float = 0.0,
        position_rescale: float | None = None,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if position_rescale is not None and grid_size is not None:
            raise ConfigError('position_rescale is for rotated positions: leave it or grid_size out')
        self.head_dims = embed_dims // num_heads
        self.patch_size = patch_size
        self.drop_path_rate = drop_path_rate
        self.position_rescale = position_rescale
        self.with_cp = with_cp
        self.patch_embed = nn.Conv2d(3, embed_dims, patch_size, stride=patch_size)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dims))
        self.registers = nn.Parameter(torch.zeros(1, num_registers, embed_dims))
        self.positions = None if grid_size is None else nn.Parameter(torch.zeros(1, embed_dims, *grid_size))
        self.blocks = nn.ModuleList(
            ViTBlock(embed_dims, num_heads, ffn_dims, gated, key_bias, layer_scale, norm_eps, drop_path=drop_path_rate)
            for _ in range(num_layers)
        )

    def init_weights(self) -> None:
        """Normal weights of deviation 0.02, unless ``init_cfg`` names those of a whole vision transformer.

        Raises:
            CheckpointError: If these do not fit.
        """
        init_blocks(self.blocks)
        for name, parameter in self.named_parameters(recurse=False):
            if name != 'registers':
                nn.init.trunc_normal_(parameter, std=0.02)
        nn.init.normal_(self.registers, std=1e-6)  # DINOv2's; equal ones would stay equal for ever
        nn.init.trunc_normal_(self.patch_embed.weight, std=0.02)
        if wants_weights(self) and not self.is_init:  # type: ignore[has-type]  # mmengine's property has no type
            load_vit(self, last=False)
        else:
            super().init_weights()

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Run the blocks.

        Args:
            inputs: (B, 3, H, W), H and W multiples of the patch's side.

        Returns:
            tuple: Patches (B, C, h, w), class and register tokens (B, C, 1, n) and, where positions are rotated,
            cosine and sine (2, d, h, w) of the angles, d channels of a head.
        """
        patches = self.patch_embed(inputs)  # (B, C, h, w)
        B, _, h, w = patches.shape
        if self.positions is not None:
            patches = patches + self.fit_positions(self.positions, (h, w))
        prefix = torch.cat((self.cls_token, self.registers), dim=1).expand(B, -1, -1)  # (B, n, C)
        rotation = None if self.positions is not None else self.rotation(patches)  # (2, h*w, d)

        tokens = torch.cat((prefix, patches.flatten(2).transpose(1, 2)), dim=1)  # (B, n + h*w, C)
        for block in self.blocks:
            tokens = run(block, tokens, rotation, recompute=self.with_cp, random=self.drop_path_rate > 0)

        n = prefix.shape[1]
        maps = tokens.transpose(1, 2)  # (B, C, n + h*w)
        features = (maps[:, :, n:].unflatten(2, (h, w)), maps[:, :, None, :n])
        if rotation is None:
            return features
        return (*features, rotation.transpose(1, 2).unflatten(2, (h, w)))

    def fit_positions(self, positions: Tensor, size: tuple[int, int]) -> Tensor:
        """Learned positions (1, C, h, w) for a grid of ``size`` (h, w); exported files have them another way."""
        return resize_positions(positions, size)

    def rotation(self, patches: Tensor) -> Tensor:
        """Cosine and sine (2, h*w, d) for the patches (B, C, h, w)."""
        scale = 1.0
        if self.training and self.position_rescale is not None:
            bound = math.log(self.position_rescale)
            scale = torch.empty(1).uniform_(-bound, bound).exp().item()
        h, w = patches.shape[-2:]
        return patch_rotation(h, w, self.head_dims, scale, patches.device, patches.dtype)


def resize_positions(positions: Tensor, size: tuple[int, int]) -> Tensor:
    """Learned positions (1, C, rows, columns) for a grid of another size (1, C, h, w), bicubic."""
    if tuple(positions.shape[-2:]) == size:
        return positions
    return F.interpolate(positions, size, mode='bicubic', antialias=True)


def patch_rotation(
    h: int, w: int, head_dims: int, scale: float, device: torch.device, dtype: torch.dtype, base: float = 100.0
) -> Tensor:
    """Cosine and sine of the angles of DINOv3's axial RoPE (Siméoni et al., arXiv 2508.10104).

    A patch's centre lies between -1 and 1. A quarter of the channels turns with y, the next with x, and both once more,
    with periods from 1 to nearly ``base``.

    Args:
        h: Rows of patches.
        w: Columns of patches.
        head_dims: d, channels of a head, a multiple of 4.
        scale: Factor of the positions.
        device: Where to put it.
        dtype: Its type.
        base: The ratio of the longest period to the shortest.

    Returns:
        Tensor: (2, h*w, d).
    """
    exact = full_dtype(dtype)  # half precision is too coarse for positions
    y, x = ((torch.arange(n, device=device, dtype=exact) + 0.5) / n * 2 - 1 for n in (h, w))
    centres = scale * torch.stack(torch.meshgrid(y, x, indexing='ij'), dim=-1).view(h * w, 2, 1)
    frequency = 1 / base ** torch.arange(0, 1, 4 / head_dims, device=device, dtype=exact)  # (d/4,)
    angles = (2 * math.pi * centres * frequency).flatten(1).repeat(1, 2)  # (h*w, d)
    return torch.stack((angles.cos(), angles.sin())).to(dtype)
