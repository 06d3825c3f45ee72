"""The last blocks of a vision transformer as the decoder: EoMT (Kerssies et al., CVPR 2025, arXiv 2503.19108)."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mask2former.errors import ConfigError
from mask2former.ops.linear import Linear, linear, products
from mask2former.registry import MODELS

from .head import HeadOutput
from .image_random import MASK_ANNEALING, generator_of
from .layers import run
from .pretrained_vit import load_vit, wants_weights
from .vit_layers import ViTBlock, init_blocks


@MODELS.register_module()
class EncoderOnlyHead(BaseModule):
    """Queries join the patches in the last blocks of the encoder, and both become masks.

    In training a block's queries look inside their predicted masks only, with a probability that falls from 1 to 0
    (mask annealing; :class:`MaskAnnealingHook` sets ``mask_probability``). In testing a block masks
    where that probability is at least a half: nowhere, once the training is over.

    Args:
        num_classes: K.
        embed_dims: C, as the backbone's.
        mask_dims: Channels of the mask features, the same.
        num_levels: Levels of the memory; there is one, the patches.
        num_queries: Q.
        num_blocks: Blocks with queries.
        num_heads: Attention heads.
        ffn_dims: Inner width of the feed-forward networks.
        gated: See :class:`ViTBlock`, as ``key_bias`` and ``layer_scale``.
        key_bias: Whether keys have a bias.
        layer_scale: What the scales of the branches start at.
        norm_eps: Epsilon of the norms: 1e-6 in DINOv2, 1e-5 in DINOv3.
        drop_path_rate: Share of the images for which a branch is left out in training.
        num_upscales: How often the patches are doubled in size before they are mask features: twice from stride 16 to
            stride 4 (14 to 3.5).
        masked_attention: Whether there is any. Without it D = 1 in training, too.
        with_cp: Whether to compute each block once more in the backward pass instead of keeping what is inside.
        init_cfg: mmengine's initialisation config.

    Raises:
        ConfigError: If ``mask_dims`` and ``embed_dims`` differ.
    """

    mask_probability: Tensor

    def __init__(
        self,
        num_classes: int,
        embed_dims: int,
        mask_dims: int,
        num_levels: int = 1,
        num_queries: int = 200,
        num_blocks: int = 4,
        num_heads: int = 16,
        ffn_dims: int = 4096,
        gated: bool = False,
        key_bias: bool = True,
        layer_scale: float = 1.0,
        norm_eps: float = 1e-6,
        drop_path_rate: float = 0.0,
        num_upscales: int = 2,
        masked_attention: bool = True,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if mask_dims != embed_dims or num_levels != 1:
            raise ConfigError(
                'EncoderOnlyHead takes the patches of a plain ViT: set model.pixel_decoder to '
                "dict(type='PatchTokens') and model.backbone to a PlainViT."
            )
        self.num_classes = num_classes
        self.masked_attention = masked_attention
        self.drop_path_rate = drop_path_rate
        self.with_cp = with_cp
        self.query_feat = nn.Embedding(num_queries, embed_dims)
        self.blocks = nn.ModuleList(
            ViTBlock(embed_dims, num_heads, ffn_dims, gated, key_bias, layer_scale, norm_eps, drop_path=drop_path_rate)
            for _ in range(num_blocks)
        )
        self.norm = nn.LayerNorm(embed_dims, eps=norm_eps)
        self.class_embed = Linear(embed_dims, num_classes + 1)
        self.mask_embed = nn.Sequential(
            Linear(embed_dims, embed_dims),
            nn.GELU(),
            Linear(embed_dims, embed_dims),
            nn.GELU(),
            Linear(embed_dims, embed_dims),
        )
        self.upscale = nn.Sequential(*(Upscale(embed_dims) for _ in range(num_upscales)))
        self.register_buffer('mask_probability', torch.ones(num_blocks))

    def init_weights(self) -> None:
        """As a vision transformer's blocks; what is not named here keeps PyTorch's initialisation.

        If ``init_cfg`` names the weights of a whole vision transformer, its last blocks and its norm are taken.

        Raises:
            CheckpointError: If these do not fit.
        """
        init_blocks(self.blocks)
        if wants_weights(self) and not self.is_init:  # type: ignore[has-type]  # mmengine's property has no type
            load_vit(self, last=True)
        else:
            super().init_weights()

    def draw(self, seeds: Sequence[int | None], device: torch.device) -> Tensor:
        """Numbers (blocks, B, Q) between 0 and 1 by which queries are masked, of images with these seeds.

        An image without a seed has PyTorch's own.
        """
        size = len(self.blocks), self.query_feat.num_embeddings
        generators = [generator_of(seed, MASK_ANNEALING, device) for seed in seeds]
        return torch.stack([torch.rand(size, device=device, generator=each) for each in generators], dim=1)

    def forward(self, patches: Tensor, memory: list[Tensor], draws: Tensor | None = None) -> HeadOutput:
        """Run the last blocks and predict, in training before each of them, too.

        Every prediction has mask features of its own, which lie side by side.

        Args:
            patches: (B, C, h, w).
            memory: Class and register tokens (B, C, 1, n) and, perhaps, cosine and sine (2, d, h, w) of the positions.
            draws: What :meth:`draw` gives; in training drawn here by default.

        Returns:
            HeadOutput: Of D = blocks + 1 predictions with D * C mask features in training, of D = 1 in testing.
        """
        prefix, *rotations = memory
        rotation = rotations[0].flatten(2).transpose(1, 2) if rotations else None  # (2, h*w, d)
        B, _, h, w = patches.shape
        query = self.query_feat.weight.expand(B, -1, -1)  # (B, Q, C)
        tokens = torch.cat((query, *(x.flatten(2).transpose(1, 2) for x in (prefix, patches))), dim=1)  # (B, T, C)

        if draws is None and self.training:
            draws = self.draw([None] * B, tokens.device)
        predictions = []
        for index, (block, probability) in enumerate(zip(self.blocks, self.probabilities())):
            mask = None
            if self.masked_attention and (self.training or probability):
                predictions.append(self.predict(tokens, (h, w)))
                if probability:
                    open_queries = None if draws is None else draws[index] > probability  # (B, Q)
                    mask = self.attention_mask(*predictions[-1][1:], tokens.shape[1], open_queries)  # (B, 1, Q, T)
            tokens = run(block, tokens, rotation, mask, recompute=self.with_cp, random=self.drop_path_rate > 0)
        predictions.append(self.predict(tokens, (h, w)))

        outputs = predictions if self.training else predictions[-1:]
        class_logits, mask_embed, mask_features = zip(*outputs)
        queries = None if self.training else self.norm(tokens[:, : self.query_feat.num_embeddings])  # (B, Q, C)
        return HeadOutput(torch.stack(class_logits), torch.stack(mask_embed), torch.cat(mask_features, dim=1), queries)

    def probabilities(self) -> list[float]:
        """Of each block, how likely it is that a query is masked."""
        values = self.mask_probability.tolist()
        return values if self.training else [float(value >= 0.5) for value in values]

    def predict(self, tokens: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """What the tokens (B, T, C) predict.

        Returns:
            tuple: Class logits (B, Q, K + 1), mask embeddings (B, Q, C) and mask features (B, C, 4h, 4w).
        """
        tokens = self.norm(tokens)
        query = tokens[:, : self.query_feat.num_embeddings]  # (B, Q, C)
        grid = tokens[:, -math.prod(size) :].unflatten(1, size)  # (B, h, w, C)
        features = self.upscale(grid).permute(0, 3, 1, 2)  # (B, C, 4h, 4w)
        return self.class_embed(query), self.mask_embed(query), features

    @torch.no_grad()
    def attention_mask(
        self, mask_embed: Tensor, mask_features: Tensor, length: int, open_queries: Tensor | None = None
    ) -> Tensor:
        """Where each query may look: at other queries and the prefix, and at the patches inside its mask.

        Args:
            mask_embed: (B, Q, C).
            mask_features: (B, C, 4h, 4w).
            length: T, tokens in all.
            open_queries: (B, Q) bool, True where a query may look everywhere; None for nowhere.

        Returns:
            Tensor: (B, 1, Q, T) bool.
        """
        # Resizing is linear, so it commutes with the product that makes a mask: features are resized, not masks.
        resized = F.interpolate(mask_features, scale_factor=0.5 ** len(self.upscale), mode='bilinear')
        inside = products(mask_embed, resized.flatten(2).transpose(1, 2)) > 0  # (B, Q, h*w)
        if open_queries is not None:
            inside |= open_queries[..., None]
        return F.pad(inside, (length - inside.shape[-1], 0), value=True)[:, None]


class Upscale(nn.Module):
    """Doubles the size of a map: a transposed convolution, GELU, a depthwise convolution, a norm.

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(channels, channels, 2, stride=2)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, h, w, C) to (B, 2h, 2w, C)."""
        weight, bias = self.conv1.weight.permute(2, 3, 1, 0), self.conv1.bias  # (2, 2, C, C_in), (C,)
        assert bias is not None  # a transposed convolution may have none
        # Its windows do not overlap: it is a linear map from each pixel to four.
        fine = linear(x, weight.flatten(0, 2), bias.repeat(4)).unflatten(-1, weight.shape[:3])  # (B, h, w, 2, 2, C)
        fine = fine.transpose(2, 3).flatten(3, 4).flatten(1, 2)  # (B, 2h, 2w, C)
        out = self.conv2(F.gelu(fine).permute(0, 3, 1, 2))  # (B, C, 2h, 2w)
        return self.norm(out.permute(0, 2, 3, 1))
