"""What a metric measures and the model does not predict is refused before the training."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mask2former.data_tools.shapes import generate_shapes
from mask2former.engine import SegRunner
from mask2former.errors import ConfigError
from mask2former.evaluation import InstanceAP, PanopticQuality, SemanticIoU, YouTubeVISAP
from mask2former.evaluation.sample_fields import check_predicted
from mask2former.models.postprocess import InstanceTopK, PanopticFusion, PerPixelInference, SemanticInference
from mask2former.models.video import ClipPanopticFusion, ClipSemanticInference, TrackTopK
from tests.test_models.test_maskformer.small import per_pixel_config
from tests.tiny import write_config


def test_a_semantic_model_with_a_panoptic_evaluator_is_not_trained(tmp_path):
    generate_shapes(tmp_path / 'shapes', num_train=1, num_val=1, size=(64, 96))
    cfg = Config.fromfile(write_config(tmp_path, tmp_path / 'shapes'))
    cfg.model = dict(per_pixel_config(plus=False), metainfo=None)
    runner = SegRunner.from_cfg(cfg)
    with pytest.raises(
        ConfigError, match="^val_evaluator: PanopticQuality measures 'pred_panoptic_seg', but model.pos"
    ):
        runner.train()
    assert runner.iter == 0 and not list((tmp_path / 'work').glob('*.pth'))
    with pytest.raises(ConfigError, match='^test_evaluator: PanopticQuality measures'):
        runner.test()


@pytest.mark.parametrize(
    ('postprocessor', 'metric'),
    [
        (PanopticFusion(), PanopticQuality()),
        (InstanceTopK(), InstanceAP()),
        (SemanticInference(), SemanticIoU()),
        (PerPixelInference(), SemanticIoU()),
        (ClipSemanticInference(), SemanticIoU()),
        (TrackTopK(), YouTubeVISAP()),
    ],
    ids=lambda part: type(part).__name__,
)
def test_what_fits_is_let_through(postprocessor, metric):
    check_predicted([metric], [postprocessor], 'val_evaluator')
    with pytest.raises(ConfigError, match="'pred_panoptic_video'"):
        check_predicted([metric], [ClipPanopticFusion()], 'val_evaluator')


def test_parts_that_say_nothing_are_let_through():
    check_predicted([SimpleNamespace()], [TrackTopK()], 'val_evaluator')
    check_predicted([PanopticQuality()], [SimpleNamespace()], 'val_evaluator')
