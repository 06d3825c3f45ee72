"""Every pair of thresholds gives what a test with them gives."""

import pytest
import torch
from mmengine.dataset import pseudo_collate

from mask2former.analysis.panoptic_thresholds import Trial, best_trial, fusion_of, try_thresholds
from mask2former.apis.evaluation_parts import (
    build_test_dataset,
    build_test_evaluator,
    build_train_dataset_as_tested,
    spread_over,
)
from mask2former.errors import ConfigError
from mask2former.evaluation import PanopticQuality
from mask2former.limits.oracle import SURE, oracle_view
from mask2former.models.mask2former import geometry_of
from mask2former.models.postprocess import SemanticInference
from mask2former.predictions import load


@pytest.fixture
def model(tiny_run):
    return load(tiny_run.config, tiny_run.checkpoint, device='cpu').inferencer.model


@torch.no_grad()
def metrics_of(model, dataset, indices, score_thr, overlap_thr):
    """The metrics of a test with these thresholds."""
    rule = fusion_of(model)
    rule.score_thr, rule.overlap_thr = score_thr, overlap_thr
    model.cfg.test_evaluator = [dict(type='PanopticQuality')]
    evaluator = build_test_evaluator(model.cfg, dataset)
    for index in indices:
        evaluator.process(model.test_step(pseudo_collate([dataset[index]])))
    return evaluator.evaluate(len(indices))


def see_coarsely(model):
    """Let the model find what is there, with masks that are coarse and too large, so that neighbours lose of theirs."""
    truth_of = PanopticQuality().true_segments

    def views(inputs, samples):
        for sample in samples:
            segments = truth_of(sample.to_dict())
            view = oracle_view(segments, len(model.isthing), geometry_of(sample), stride=8)
            view.masks.mask_features.add_(SURE / 2)
            yield [view]

    model.views = views


def test_quality_is_that_of_a_test(model):
    see_coarsely(model)
    dataset, own = build_test_dataset(model.cfg), list(model.postprocessors)
    trials = try_thresholds(model, dataset, [0.0, 0.3], [0.0, 0.9], count=3)
    assert model.postprocessors == own
    assert [trial[:2] for trial in trials] == [(0.0, 0.0), (0.0, 0.9), (0.3, 0.0), (0.3, 0.9)]
    indices = spread_over(dataset, 3)
    assert len(dataset) == 4 and indices[0] == 0 and indices[-1] == 3
    for trial in trials:
        expected = metrics_of(model, dataset, indices, *trial[:2])
        assert dict(trial.quality) == {name: expected[name] for name in trial.quality}
    loose, strict = (trial.quality['PQ'] for trial in trials[:2])
    assert loose > strict > 0


def test_training_images_are_prepared_as_those_of_a_test(model):
    train, test = build_train_dataset_as_tested(model.cfg), build_test_dataset(model.cfg)
    assert len(train) == 2 and [type(x) for x in train.pipeline.transforms] == [
        type(x) for x in test.pipeline.transforms
    ]
    assert 'gt_panoptic_seg' in train[0]['data_samples']


def test_of_equal_ones_the_strictest_is_the_best():
    trials = [Trial(0.5, 0.4, dict(PQ=50.0)), Trial(0.5, 0.8, dict(PQ=50.0)), Trial(0.3, 0.8, dict(PQ=50.0))]
    assert best_trial(trials) == trials[1]
    assert best_trial([*trials, Trial(0.3, 0.4, dict(PQ=50.1))])[:2] == (0.3, 0.4)


def test_a_model_without_panoptic_results(model):
    model.postprocessors = [SemanticInference()]
    with pytest.raises(ConfigError, match='give a config whose model has them'):
        fusion_of(model)
