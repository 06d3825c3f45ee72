import pytest
import torch
from mmengine.model import BaseModule
from torch import nn

from mask2former.errors import ConfigError
from mask2former.models.normalization import Normalization
from mask2former.registry import MODELS
from tests.tiny import build_tiny, tiny_config

HALF = Normalization.of_unit((0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "the description of 'half'")


@MODELS.register_module()
class Described(BaseModule):
    """Four strided convolutions, whose weights say how images are normalised when they are built or loaded."""

    def __init__(self, at_build=None, at_load=None, in_channels=3) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Conv2d(in_channels if i == 0 else 8, 8, 4 if i == 0 else 2, stride=4 if i == 0 else 2) for i in range(4)
        )
        self.normalization, self.at_load = at_build, at_load

    def init_weights(self) -> None:
        self.normalization = self.at_load or self.normalization

    def forward(self, x):
        return [x := stage(x) for stage in self.stages]


def build(data_preprocessor=None, **backbone):
    preprocessor = dict(type='SegDataPreprocessor', **data_preprocessor or {})
    return MODELS.build(
        dict(tiny_config(), backbone=dict(type='Described', **backbone), data_preprocessor=preprocessor)
    )


def test_what_the_config_leaves_out_follows_from_the_weights():
    model = build(at_build=HALF)
    model.init_weights()
    assert model.data_preprocessor.mean.flatten().tolist() == [127.5] * 3
    assert model.data_preprocessor.std.flatten().tolist() == [63.75] * 3
    image = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    assert model.data_preprocessor(dict(inputs=[image]))['inputs'].unique().tolist() == [2.0]
    model = build(dict(mean=None, std=(63.8, 63.8, 63.7)), at_build=HALF)
    assert model.data_preprocessor.mean.flatten().tolist() == [127.5] * 3


def test_sixteen_bit_images_have_the_same_in_their_units():
    build(dict(mean=[127.5 * 257] * 3, std=[63.75 * 257] * 3), at_build=HALF)


@pytest.mark.parametrize('when', ['at_build', 'at_load'])
@pytest.mark.parametrize('given', [dict(mean=(120, 120, 120), std=(60, 60, 60)), dict(std=(58.4, 57.1, 57.4)), {}])
def test_a_contradiction_is_an_error_that_states_both(when, given):
    if when == 'at_build' and not given:
        return  # filled in
    with pytest.raises(ConfigError, match=r"mean=.* std=.*'half' says mean=\(127.5, .* std=\(63.75"):
        build(given, **{when: HALF}).init_weights()


def test_the_order_of_colours_is_that_of_the_weights():
    with pytest.raises(ConfigError, match="bgr_to_rgb=False, but .*'half' is of RGB images"):
        build(dict(bgr_to_rgb=False), at_build=HALF)


def test_images_of_other_bands_need_a_normalisation():
    with pytest.raises(ConfigError, match='images of 5 bands, so .* mean and std of 5 entries'):
        build(in_channels=5)
    with pytest.raises(ConfigError, match='images of 5 bands, but .* have 3 and 3 entries'):
        build(dict(mean=(1, 2, 3), std=(1, 2, 3)), in_channels=5)
    assert build(dict(mean=range(5), std=[1.0] * 5), in_channels=5, at_build=HALF).data_preprocessor.mean.shape[0] == 5


def test_backbones_that_say_nothing_keep_the_default():
    mean = build_tiny().data_preprocessor.mean.flatten().tolist()
    assert mean == pytest.approx([123.675, 116.28, 103.53])
