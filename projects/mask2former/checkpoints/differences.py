"""Checkpoints of tue-mps/eomt that hold differences from DINOv3's weights, which Meta does not let others publish.

That project's own loader (``training/lightning_module.py``, ``delta_weights``) adds such a file to a model whose
transformer is DINOv3's, whose other parameters are zero, and whose buffers are new: the probabilities of masks are one,
and what images are normalised with is as ever. Its difference is zero, by which a file is known to be one.
"""

from collections.abc import Mapping

from torch import Tensor

from mask2former.errors import CheckpointError

from .keys_eomt import layout_of

NORMALISATION = 'network.encoder.pixel_std'
NEW_PROBABILITY = 1.0  # of masks, in the blocks of a new model
LICENSE = "not stated; DINOv3's weights have the DINOv3 License"  # of the sums


def are_differences(state: Mapping[str, Tensor]) -> bool:
    """Whether weights under the names of tue-mps/eomt are differences."""
    deviation = state.get(NORMALISATION)
    return deviation is not None and not deviation.any()


def add_base(state: Mapping[str, Tensor], base: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of an EoMT.

    Args:
        state: Differences, with our names.
        base: The weights of the DINOv3 that the training began with, as :func:`.read_vit` gives them.

    Raises:
        CheckpointError: If they do not fit each other; the message is the end of a sentence that begins with the file.
    """
    first = layout_of(state).backbone  # which of the transformer's blocks is the head's first
    sums = {}
    for name, value in base.items():
        block, _, rest = name.removeprefix('blocks.').partition('.')
        if name.startswith('blocks.') and int(block) >= first:
            own = f'head.blocks.{int(block) - first}.{rest}'
        else:
            own = f'head.{name}' if name.startswith('norm.') else f'backbone.{name}'
        if own not in state or state[own].shape != value.shape:
            raise CheckpointError(
                f"holds differences from another transformer than the base, whose '{name}' has no place"
            )
        sums[own] = value.float() + state[own]
    for name in state:
        if name.startswith(('backbone.', 'head.blocks.', 'head.norm.')) and name not in sums:
            raise CheckpointError(f"holds differences from another transformer than the base, which lacks '{name}'")
    return {**state, **sums, 'head.mask_probability': state['head.mask_probability'] + NEW_PROBABILITY}
