"""The members of the family, and which of them has the weights of a checkpoint."""

import re
from collections.abc import Iterable

MEMBERS = (
    *('mask2former', 'mask2former-fpn', 'mask2former-encoder', 'maskformer', 'maskformer-encoder', 'eomt'),
    'ablation',  # with some of Mask2Former's changes against MaskFormer
    *('per-pixel', 'per-pixel-plus'),  # MaskFormer's baselines
)


def name_member(pixel_decoder: str, changes: set[bool]) -> str:
    """The member with this pixel decoder.

    Args:
        pixel_decoder: ``deformable``, ``fpn`` or ``encoder``.
        changes: For each of Mask2Former's changes that weights tell, whether the model has it.
    """
    if len(changes) == 2 or (changes == {False} and pixel_decoder == 'deformable'):
        return 'ablation'
    usual = 'deformable' if True in changes else 'fpn'
    name = 'mask2former' if True in changes else 'maskformer'
    return name if pixel_decoder == usual else f'{name}-{pixel_decoder}'


def member_of(names: Iterable[str]) -> str:
    """The member that has the weights with these names, in any format."""
    text = '\n'.join(names)
    if re.search(r'(^|\.)(mask_probability|attn_mask_probs|upscale\.0\.conv1\.weight)$', text, re.M):
        return 'eomt'
    if not re.search(r'(class_embed|class_predictor|cls_embed)\.', text):
        return 'per-pixel-plus' if 'query_embed.' in text else 'per-pixel'
    changes = {
        bool(re.search(pattern, text))
        for pattern in (
            r'\.(query_feat|static_query|queries_features)\.',
            r'(head|predictor|transformer_module)\.level_embed',
        )
    }
    if '.sampling_offsets.' in text:
        return name_member('deformable', changes)
    return name_member('encoder' if re.search(r'pixel_decoder\.(transformer\.)?encoder\.', text) else 'fpn', changes)
