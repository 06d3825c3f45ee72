"""A folder that transformers saved is a model of its own: no config is needed."""

import json

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate

from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.named_models import model_name
from mask2former.errors import ConfigError
from mask2former.formats.known_metainfo import known_metainfo
from mask2former.predictions import load
from mask2former.predictions.hf_folder import config_of_hf_folder, is_hf_folder

transformers = pytest.importorskip('transformers')


def save(folder, classes, **sizes):
    backbone = transformers.SwinConfig(out_features=['stage1', 'stage2', 'stage3', 'stage4'], **sizes)
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone,
        num_queries=20,
        num_labels=len(classes),
        id2label={i: name for i, name in enumerate(classes)},
        label2id={name: i for i, name in enumerate(classes)},
    )
    torch.manual_seed(0)
    model = transformers.Mask2FormerForUniversalSegmentation(config).eval()
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope='module')
def saved(tmp_path_factory):
    """A Swin-T with the classes of Cityscapes, and where it was saved."""
    folder = tmp_path_factory.mktemp('saved')
    model = save(folder, known_metainfo('cityscapes_panoptic')['classes'])
    said = dict(size=dict(height=96, width=160), image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.25, 0.5])
    (folder / 'preprocessor_config.json').write_text(json.dumps(said))
    return folder, model


def test_logits_are_those_of_transformers(saved):
    folder, peer = saved
    assert is_hf_folder(folder)
    predictor = load(folder, device='cpu')
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)  # BGR
    model = predictor.inferencer.model
    data = model.data_preprocessor(pseudo_collate([predictor.inferencer.prepare(image)]), False)
    assert data['inputs'].shape == (1, 3, 96, 160)
    # Normalised as the folder says, in the order RGB.
    for plane, (mean, std) in zip(data['inputs'][0], ((0.5, 0.25), (0.5, 0.25), (0.5, 0.5))):
        assert (plane * std + mean).min() >= -1e-6 and (plane * std + mean).max() <= 1 + 1e-6
    with torch.no_grad():
        logits, masks = model(data['inputs'], data['data_samples'], mode='tensor')
        theirs = peer(pixel_values=data['inputs'])
    torch.testing.assert_close(logits, theirs.class_queries_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(masks, theirs.masks_queries_logits, rtol=1e-4, atol=1e-3)
    assert predictor.inferencer.dataset_meta['isthing'].count(True) == 8  # of Cityscapes
    assert predictor.predict(image).segments is not None


def test_unknown_classes_count_as_things(tmp_path):
    save(tmp_path, ('cat', 'dog'))
    cfg = config_of_hf_folder(tmp_path)
    [resize] = [step for step in cfg.test_dataloader.dataset.pipeline if step['type'] == 'Resize']
    assert resize == dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    predictor = load(tmp_path, device='cpu')
    meta = predictor.inferencer.dataset_meta
    assert tuple(meta['classes']) == ('cat', 'dog') and tuple(meta['isthing']) == (True, True)
    assert predictor.inferencer.model.head.query_feat.num_embeddings == 20


def test_a_model_without_a_config_is_named(tmp_path):
    save(tmp_path, ('cat', 'dog'), depths=[1, 1, 1, 1])
    assert model_name(read_checkpoint(tmp_path)) is None
    with pytest.raises(ConfigError, match='no config is known: give one'):
        load(tmp_path)
