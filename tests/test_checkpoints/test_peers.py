"""Files that mmdet and transformers saved give their logits here, and files that are written give ours there."""

import copy
import json

import pytest
import torch
from mmengine.runner import save_checkpoint

from mask2former.checkpoints.convert import read_checkpoint
from mask2former.checkpoints.keys_transformers import TO_DISK
from mask2former.checkpoints.write import write_checkpoint
from tests.test_models.peers import make_batch

from .small import BACKBONES, CLASSES, build_small, build_small_mmdet, build_small_transformers

ENDINGS = dict(mask2former='.pth', mmdet='.pth', detectron2='.pkl', transformers='')


@pytest.fixture(scope='module')
def batch():
    return make_batch([1, 1], (96, 128))


@pytest.fixture(scope='module', params=BACKBONES)
def backbone(request):
    return request.param


def our_logits(path, backbone, images):
    """Class and mask logits of our model with the weights of a file."""
    model = build_small(backbone)
    model.load_state_dict(read_checkpoint(path).state, strict=True)
    with torch.no_grad():
        return model(images)


def transformers_logits(model, images):
    with torch.no_grad():
        output = model(pixel_values=images)
    return output.class_queries_logits, output.masks_queries_logits


def mmdet_logits(model, images, samples):
    with torch.no_grad():
        classes, masks = model.panoptic_head(model.extract_feat(images), samples)
    return classes[-1], masks[-1]


def assert_close(ours, theirs):
    for mine, other in zip(ours, theirs, strict=True):
        assert other.std() > 0.01
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings('ignore')
def test_transformers_file(backbone, batch, tmp_path):
    peer = build_small_transformers(backbone)
    peer.save_pretrained(tmp_path / 'theirs')
    theirs = transformers_logits(peer, batch[0])
    assert_close(our_logits(tmp_path / 'theirs', backbone, batch[0]), theirs)
    assert_close(our_logits(tmp_path / 'theirs/model.safetensors', backbone, batch[0]), theirs)
    # as transformers 4 saved it, and with the names that models have in memory
    torch.save(peer.state_dict(), tmp_path / 'pytorch_model.bin')
    assert_close(our_logits(tmp_path / 'pytorch_model.bin', backbone, batch[0]), theirs)

    checkpoint = read_checkpoint(tmp_path / 'theirs')
    assert checkpoint.meta == dict(dataset_meta=dict(classes=CLASSES), no_object_weight=0.25)
    write_checkpoint(checkpoint, tmp_path / 'again', 'transformers')
    again = type(peer).from_pretrained(tmp_path / 'again')
    assert all(
        torch.equal(value, again.state_dict()[name])
        for name, value in peer.state_dict().items()
        if 'swin.layernorm' not in name
    )


@pytest.mark.filterwarnings('ignore')
def test_written_for_transformers(backbone, batch, tmp_path):
    from transformers import Mask2FormerForUniversalSegmentation

    ours = build_small(backbone)
    content = dict(state_dict=ours.state_dict(), meta=dict(dataset_meta=dict(classes=ours.classes)))
    write_checkpoint(read_from(content, tmp_path / 'a.pth'), tmp_path / 'written', 'transformers')
    peer, info = Mask2FormerForUniversalSegmentation.from_pretrained(tmp_path / 'written', output_loading_info=True)
    assert not any(info.values()), info
    assert peer.config.id2label == dict(enumerate(CLASSES))
    with torch.no_grad():
        assert_close(ours(batch[0]), transformers_logits(peer.eval(), batch[0]))
    # The names on disk are those that transformers itself writes, which its older versions know.
    peer.save_pretrained(tmp_path / 'theirs')
    names = [set(read_names(tmp_path / folder)) for folder in ('written', 'theirs')]
    assert names[0] == names[1]
    if backbone == 'swin':
        assert TO_DISK and any('attention.self.query' in name for name in names[0])


def read_names(folder):
    from safetensors import safe_open

    with safe_open(folder / 'model.safetensors', framework='pt') as file:
        return list(file.keys())


def test_first_release_of_transformers(tmp_path):
    """``encoder.model``, and the norms by numbers. It had no ResNet."""
    peer = build_small_transformers('swin')
    checkpoint = read_from(peer.state_dict(), tmp_path / 'new.bin')
    write_checkpoint(checkpoint, tmp_path / 'new', 'transformers')
    from safetensors.torch import load_file

    old = {}
    for name, value in load_file(tmp_path / 'new/model.safetensors').items():
        name = name.replace('pixel_level_module.encoder.e', 'pixel_level_module.encoder.model.e')
        for stage in range(4):
            name = name.replace(f'hidden_states_norms.stage{stage + 1}', f'hidden_states_norms.{stage}')
        if name.endswith('relative_position_bias_table'):
            old[name.replace('bias_table', 'index')] = torch.zeros(49, 49, dtype=torch.int64)
        old[name] = value
    again = read_from(old, tmp_path / 'old.bin')
    assert all(torch.equal(value, again.state[name]) for name, value in checkpoint.state.items())
    assert sum('relative_position_index' in name for name in again.report.dropped) == 5


def read_from(state, path):
    torch.save(state, path)
    return read_checkpoint(path)


def test_mmdet_file(backbone, batch, tmp_path):
    peer = build_small_mmdet(backbone)
    save_checkpoint(
        dict(meta=dict(dataset_meta=dict(classes=CLASSES)), state_dict=peer.state_dict()), str(tmp_path / 'theirs.pth')
    )
    theirs = mmdet_logits(peer, *batch)
    assert_close(our_logits(tmp_path / 'theirs.pth', backbone, batch[0]), theirs)
    checkpoint = read_checkpoint(tmp_path / 'theirs.pth')
    assert checkpoint.meta['dataset_meta']['classes'] == CLASSES

    write_checkpoint(checkpoint, tmp_path / 'again.pth', 'mmdet')
    again = torch.load(tmp_path / 'again.pth', weights_only=True)['state_dict']
    assert set(again) == set(peer.state_dict())
    assert all(torch.equal(value, again[name]) for name, value in peer.state_dict().items())

    # mmseg's names, and mmdet 2's
    mmseg = {name.replace('panoptic_head.', 'decode_head.'): value for name, value in peer.state_dict().items()}
    old = {}
    for name, value in peer.state_dict().items():
        if name.startswith('panoptic_head.'):
            name = name.replace('cross_attn.attn', 'attentions.0.attn').replace('.ffn.', '.ffns.0.')
            name = name.replace('self_attn.attn', 'attentions.1.attn').replace('self_attn.', 'attentions.0.')
        old[name] = value
    assert set(old) != set(again) != set(mmseg)
    for state in (mmseg, old, {f'module.{name}': value for name, value in old.items()}):
        assert_close(our_logits(read_path(state, tmp_path / 'other.pth'), backbone, batch[0]), theirs)


@pytest.mark.parametrize(
    'meta',
    [
        dict(CLASSES=list(CLASSES)),
        dict(dataset_meta=dict(CLASSES=CLASSES)),
        dict(dataset_meta=dict(classes=CLASSES), CLASSES=['other']),
    ],
)
def test_classes_of_all_ages_of_mmdet(meta, tmp_path):
    state = build_small_mmdet('swin').state_dict()
    assert read_from(dict(state_dict=state, meta=meta), tmp_path / 'a.pth').meta['dataset_meta']['classes'] == CLASSES


def read_path(state, path):
    torch.save(dict(state_dict=state), path)
    return path


def test_final_results_of_an_mmdet_file(backbone, tmp_path):
    """mmdet's own segments, pixel for pixel."""
    peer = build_small_mmdet(backbone)
    torch.save(dict(state_dict=peer.state_dict()), tmp_path / 'theirs.pth')
    peer.panoptic_fusion_head.test_cfg.update(
        object_mask_thr=0.1, iou_thr=0.1, filter_low_score=True, instance_on=False, semantic_on=False
    )
    ours = build_small(backbone)
    ours.load_state_dict(read_checkpoint(tmp_path / 'theirs.pth').state, strict=True)
    images, samples = make_batch([1, 1], (96, 128))
    with torch.no_grad():
        theirs = peer.predict(images, copy.deepcopy(samples))
        mine = ours.predict(images, samples)
    for sample, other in zip(mine, theirs, strict=True):
        found, expected = sample.pred_panoptic_seg.id_map[0], other.pred_panoptic_seg.sem_seg[0]
        labels = torch.full((int(found.max()) + 1,), len(CLASSES))
        for info in sample.pred_panoptic_seg.segments_info:
            labels[info['id']] = info['label']
        assert found.shape == expected.shape == sample.ori_shape
        assert torch.equal(labels[found.long()], expected.long() % 1000)
        pairs = torch.stack((found.long(), expected.long()), -1).flatten(0, 1).unique(dim=0)
        assert len(pairs) == len(found.unique()) == len(expected.unique()) > 1


@pytest.mark.parametrize('target', ['mask2former', 'transformers', 'detectron2', 'mmdet'])
def test_files_of_each_format_hold_every_bit(backbone, target, tmp_path):
    ours = build_small(backbone, num_classes=9).state_dict()
    for name, value in ours.items():
        if name.endswith('num_batches_tracked'):
            value.zero_()  # the reference's layout has no place for it
    checkpoint = read_from(dict(state_dict=ours), tmp_path / 'a.pth')
    write_checkpoint(checkpoint, tmp_path / f'b{ENDINGS[target]}', target)
    again = read_checkpoint(tmp_path / f'b{ENDINGS[target]}')
    assert again.report.source == target and set(again.state) == set(ours)
    assert all(
        torch.equal(value, again.state[name]) and value.dtype == again.state[name].dtype for name, value in ours.items()
    )
    assert not list(tmp_path.rglob('*.part'))


def test_detectron2_pickle_is_what_detectron2_reads(tmp_path):
    import pickle

    import numpy as np

    checkpoint = read_from(build_small('resnet').state_dict(), tmp_path / 'a.pth')
    write_checkpoint(checkpoint, tmp_path / 'b.pkl', 'detectron2')
    with open(tmp_path / 'b.pkl', 'rb') as file:
        content = pickle.load(file, encoding='latin1')  # as DetectionCheckpointer does
    assert set(content) == {'model', '__author__'} and isinstance(content['__author__'], str)
    assert b'numpy.core.multiarray' in (tmp_path / 'b.pkl').read_bytes()  # numpy 1 knows no numpy._core
    assert b'numpy._core' not in (tmp_path / 'b.pkl').read_bytes()
    assert all(type(value) is np.ndarray for value in content['model'].values())
    write_checkpoint(checkpoint, tmp_path / 'c.pth', 'detectron2')
    assert set(torch.load(tmp_path / 'c.pth', weights_only=True)) == {'model'}


def test_sharded_folder(tmp_path):
    from safetensors.torch import load_file, save_file

    checkpoint = read_from(build_small('swin').state_dict(), tmp_path / 'a.pth')
    write_checkpoint(checkpoint, tmp_path / 'whole', 'transformers')
    whole = load_file(tmp_path / 'whole/model.safetensors')
    folder = tmp_path / 'parts'
    folder.mkdir()
    names = sorted(whole)
    index = {}
    for i, part in enumerate((names[::2], names[1::2])):
        save_file({name: whole[name] for name in part}, folder / f'model-{i}.safetensors')
        index |= dict.fromkeys(part, f'model-{i}.safetensors')
    (folder / 'model.safetensors.index.json').write_text(json.dumps(dict(weight_map=index)))
    again = read_checkpoint(folder)
    assert all(torch.equal(value, again.state[name]) for name, value in checkpoint.state.items())
