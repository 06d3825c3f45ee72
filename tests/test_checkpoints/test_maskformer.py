"""MaskFormer's checkpoints in the four formats, and those of Mask2Former with MaskFormer's pixel decoders."""

import random
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mask2former.apis import init_model
from mask2former.checkpoints.backbones import load_backbone
from mask2former.checkpoints.convert import EMPTY_WEIGHT, convert_raw, read_checkpoint, to_format
from mask2former.checkpoints.infer import expected_shapes, infer
from mask2former.checkpoints.read import RawCheckpoint
from mask2former.checkpoints.write import write_checkpoint
from mask2former.errors import CheckpointError
from mask2former.registry import MODELS
from tests.test_models.test_maskformer.small import (
    BACKBONES,
    CLASSES,
    build_mmdet,
    build_small,
    build_transformers,
    make_batch,
    per_pixel_config,
    small_config,
)

from .detectron2_names import published_maskformer
from .small import build_small as build_mask2former
from .small import random_state

ROOT = Path(__file__).parents[2]
DECODER = 'sem_seg_head.pixel_decoder.'
CLASSES_META = dict(dataset_meta=dict(classes=CLASSES))


def from_state(model, meta=None):
    return convert_raw(RawCheckpoint(dict(model.state_dict()), dict(meta or {}), {}), 'model')


def logits(model):
    images, _ = make_batch([1, 1], dtype=torch.float32)
    with torch.no_grad():
        return model(images)


def with_mask2formers_head(decoder):
    """Mask2Former with a pixel decoder of MaskFormer's, as the reference has it."""
    config = small_config('resnet')
    options = dict(num_layers=2, ffn_dims=16) if decoder == 'TransformerFPNPixelDecoder' else {}
    config['pixel_decoder'] = dict(type=decoder, embed_dims=32, mask_dims=32, **options)
    config['head'] = dict(type='MaskedAttentionHead', num_queries=7, num_layers=2, ffn_dims=24)
    torch.manual_seed(0)
    return MODELS.build(config).eval()


@pytest.mark.parametrize('backbone', BACKBONES)
@pytest.mark.filterwarnings('ignore')
def test_transformers_there_and_back(backbone, tmp_path):
    peer = build_transformers(backbone)
    peer.save_pretrained(tmp_path / 'theirs')
    checkpoint = read_checkpoint(tmp_path / 'theirs')
    assert checkpoint.meta['dataset_meta'] == dict(classes=CLASSES)
    ours = build_small(backbone)
    ours.load_state_dict(checkpoint.state, strict=True)
    images, _ = make_batch([1, 1], dtype=torch.float32)
    with torch.no_grad():
        theirs = peer(pixel_values=images)
    torch.testing.assert_close(logits(ours)[0], theirs.class_queries_logits, rtol=0, atol=1e-5)
    torch.testing.assert_close(logits(ours)[1], theirs.masks_queries_logits, rtol=1e-4, atol=1e-4)

    write_checkpoint(checkpoint, tmp_path / 'again', 'transformers')
    again, info = type(peer).from_pretrained(tmp_path / 'again', output_loading_info=True)
    assert not any(info.values()), info
    assert again.config.id2label == dict(enumerate(CLASSES))
    with torch.no_grad():
        torch.testing.assert_close(
            again.eval()(pixel_values=images).masks_queries_logits, theirs.masks_queries_logits, rtol=0, atol=0
        )


@pytest.mark.parametrize('encoder', [False, True], ids=['fpn', 'encoder'])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_mmdet_there_and_back(backbone, encoder, tmp_path):
    peer = build_mmdet(backbone, encoder)
    torch.save(dict(state_dict=peer.state_dict(), meta=CLASSES_META), tmp_path / 'theirs.pth')
    checkpoint = read_checkpoint(tmp_path / 'theirs.pth')
    build_small(backbone, encoder).load_state_dict(checkpoint.state, strict=True)
    write_checkpoint(checkpoint, tmp_path / 'again.pth', 'mmdet')
    again = torch.load(tmp_path / 'again.pth', weights_only=True)['state_dict']
    assert again.keys() == peer.state_dict().keys()
    assert all(torch.equal(value, again[name]) for name, value in peer.state_dict().items())


@pytest.mark.parametrize('old_names', [False, True])
@pytest.mark.parametrize('encoder', [False, True], ids=['fpn', 'encoder'])
@pytest.mark.parametrize('backbone', BACKBONES)
def test_detectron2_there_and_back(backbone, encoder, old_names):
    ours = build_small(backbone, encoder)
    state, _ = to_format(from_state(ours), 'detectron2')
    assert state[DECODER + 'adapter_1.weight'].shape[:2] == (32, 8)  # of the finest feature
    assert state[DECODER + 'adapter_3.weight'].shape[:2] == (32, 32)
    assert state[DECODER + 'layer_4.weight'].shape[:2] == (32, 32 if encoder else 64)
    assert state['sem_seg_head.predictor.transformer.decoder.layers.2.multihead_attn.in_proj_weight'].shape == (96, 32)
    assert ('sem_seg_head.predictor.input_proj.weight' in state) != encoder
    assert (DECODER + 'transformer.encoder.layers.1.self_attn.in_proj_weight' in state) == encoder
    if old_names:
        state = {name.replace(DECODER, 'sem_seg_head.'): value for name, value in state.items()}
    again = convert_raw(RawCheckpoint(state, {}, {}), 'x.pkl')
    weights = {name: value for name, value in ours.state_dict().items() if 'num_batches_tracked' not in name}
    assert all(torch.equal(value, again.state[name]) for name, value in weights.items())


def test_a_deep_stem_there_and_back(tmp_path):
    config = small_config('resnet')
    config['backbone'] = dict(type='FrozenBNResNet', depth=18, deep_stem=True)
    ours = MODELS.build(config)
    checkpoint = from_state(ours)
    state, _ = to_format(checkpoint, 'detectron2')
    assert {name: tuple(value.shape) for name, value in state.items() if re.search(r'stem.*conv\d.weight', name)} == {
        'backbone.stem.conv1.weight': (64, 3, 3, 3),
        'backbone.stem.conv2.weight': (64, 64, 3, 3),
        'backbone.stem.conv3.weight': (128, 64, 3, 3),
    }
    weights = {name: value for name, value in ours.state_dict().items() if 'num_batches_tracked' not in name}
    again = convert_raw(RawCheckpoint(state, {}, {}), 'x.pkl').state
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    alone = {name.removeprefix('backbone.'): x for name, x in state.items() if name.startswith('backbone.')}
    torch.save(alone, tmp_path / 'backbone.pth')
    fresh = MODELS.build(config).backbone
    assert load_backbone(fresh, tmp_path / 'backbone.pth').loaded >= len(alone)
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in ours.backbone.state_dict().items())
    with pytest.raises(CheckpointError, match='stem.0.weight. has no place in a checkpoint of transformers'):
        write_checkpoint(checkpoint, tmp_path / 'theirs', 'transformers')


@pytest.mark.parametrize('plus', [False, True])
def test_baselines_there_and_back(plus):
    ours = MODELS.build(per_pixel_config(plus))
    checkpoint = from_state(ours)
    architecture = checkpoint.report.architecture
    assert architecture.member == ('per-pixel-plus' if plus else 'per-pixel') and architecture.num_classes == 5
    state, _ = to_format(checkpoint, 'detectron2')
    outputs = {name for name in state if re.search(r'predictor\.(weight|bias|\w+_embed)', name)}
    start = 'sem_seg_head.predictor.'
    embeds = {f'{start}mask_embed.layers.{i}.{p}' for i in range(3) for p in ('weight', 'bias')}
    assert outputs == ({f'{start}query_embed.weight', *embeds} if plus else {f'{start}weight', f'{start}bias'})
    assert EMPTY_WEIGHT not in state
    old = {name.replace(DECODER, 'sem_seg_head.'): value for name, value in state.items()}
    again = convert_raw(RawCheckpoint(old, {}, {}), 'x.pkl').state
    weights = {name: value for name, value in ours.state_dict().items() if 'num_batches_tracked' not in name}
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    for target in ('mmdet', 'transformers'):
        with pytest.raises(CheckpointError, match=f"'per-pixel.*' has no place in a checkpoint of {target}"):
            to_format(checkpoint, target)


def reference(backbone, encoder, classes):
    """The weights of a published file, whose pixel decoder has the names of an older age."""
    shapes = published_maskformer(backbone, encoder, classes)
    return random_state({name.replace(DECODER, 'sem_seg_head.'): shape for name, shape in shapes.items()})


@pytest.mark.parametrize(
    ('config', 'backbone', 'encoder', 'classes'),
    [
        ('ade20k/semantic/maskformer_r50_160k_ade20k-semantic.py', 'r50', False, 150),
        ('coco/panoptic/maskformer_r50_64xb1-554k_coco-panoptic.py', 'r50', True, 133),
        ('coco/panoptic/maskformer_swin-t-p4-w7-224_64xb1-554k_coco-panoptic.py', 'swin-t', False, 133),
    ],
)
def test_published_files_fill_the_models_of_the_configs(config, backbone, encoder, classes):
    """The reference's names and shapes at full size, read and written bit for bit."""
    source = reference(backbone, encoder, classes)
    checkpoint = convert_raw(RawCheckpoint(source, {}, {}), 'model_final.pkl')
    assert set(checkpoint.report.dropped) == {EMPTY_WEIGHT}
    cfg = Config.fromfile(ROOT / 'configs' / config).model
    cfg.backbone.init_cfg = None
    model = MODELS.build(dict(cfg, metainfo=dict(classes=[str(i) for i in range(classes)], isthing=[True] * classes)))
    assert {name: value.shape for name, value in checkpoint.state.items()} == {
        name: value.shape for name, value in model.state_dict().items()
    }
    written, _ = to_format(checkpoint, 'detectron2')
    written = {name.replace(DECODER, 'sem_seg_head.'): value for name, value in written.items()}
    written.pop(EMPTY_WEIGHT), source.pop(EMPTY_WEIGHT)
    assert written.keys() == source.keys()
    assert all(torch.equal(value, source[name]) for name, value in written.items())


@pytest.mark.parametrize('encoder', [False, True], ids=['fpn', 'encoder'])
def test_a_config_takes_files_of_its_own_model_only(encoder, tmp_path):
    ours = build_small('resnet', encoder)
    state, _ = to_format(from_state(ours), 'detectron2')
    torch.save({name.replace(DECODER, 'sem_seg_head.'): value for name, value in state.items()}, tmp_path / 'old.pth')
    model = init_model(Config(dict(model=small_config('resnet', encoder))), tmp_path / 'old.pth', 'cpu')
    for mine, other in zip(logits(ours), logits(model)):
        assert torch.equal(mine, other)
    write_checkpoint(from_state(build_mask2former('resnet')), tmp_path / 'mask2former.pkl', 'detectron2')
    for other in (small_config('resnet', not encoder), small_config('swin', encoder)):
        with pytest.raises(CheckpointError, match="^'[^\n]*old.pth' does not fit the model: [^\n]*trained with[.]$"):
            init_model(Config(dict(model=other)), tmp_path / 'old.pth', 'cpu')
    with pytest.raises(CheckpointError, match="^'[^\n]*mask2former.pkl' does not fit the model: [^\n]*[.]$"):
        init_model(Config(dict(model=small_config('resnet', encoder))), tmp_path / 'mask2former.pkl', 'cpu')


@pytest.mark.parametrize('target', ['mask2former', 'detectron2', 'transformers', 'mmdet'])
def test_a_weight_that_is_missing_or_wrong_is_named(target):
    """One at a time, also of those that are joined or split."""
    encoder = target != 'transformers'
    written, _ = to_format(from_state(build_small('swin', encoder)), target)
    generator = random.Random(0)
    needed = [name for name in sorted(written) if not re.search('empty_weight|position_index|model.layernorm', name)]
    for name in generator.sample(needed, 25):
        for state in (
            {key: value for key, value in written.items() if key != name},
            dict(written, **{name: torch.zeros(3, 5, 2)}),
        ):
            with pytest.raises(CheckpointError, match=r"^'a.pth' [^\n]*[.]$"):
                convert_raw(RawCheckpoint(state, {}, {}), 'a.pth')


@pytest.mark.parametrize('decoder', ['FPNPixelDecoder', 'TransformerFPNPixelDecoder'])
def test_mask2former_with_another_pixel_decoder(decoder):
    ours = with_mask2formers_head(decoder)
    checkpoint = from_state(ours)
    assert checkpoint.report.architecture.member == f'mask2former-{"fpn" if decoder.startswith("F") else "encoder"}'
    state, _ = to_format(checkpoint, 'detectron2')
    again = convert_raw(RawCheckpoint(state, {}, {}), 'x.pkl')
    for mine, other in zip(logits(ours), logits_with(ours, again.state)):
        assert torch.equal(mine, other)
    for target in ('mmdet', 'transformers'):
        with pytest.raises(CheckpointError, match=f"'mask2former-.*' has no place in a checkpoint of {target}"):
            to_format(checkpoint, target)


def logits_with(model, state):
    model.load_state_dict(state)
    return logits(model)


def test_an_encoder_has_no_place_in_transformers():
    with pytest.raises(CheckpointError, match="'maskformer-encoder' has no place in a checkpoint of transformers"):
        to_format(from_state(build_small('resnet', encoder=True)), 'transformers')


@pytest.mark.parametrize('encoder', [False, True])
def test_shapes_are_the_model_s(encoder):
    state = build_small('swin', encoder).state_dict()
    assert dict(expected_shapes(infer(state))) == {name: tuple(value.shape) for name, value in state.items()}


def test_an_ablation_keeps_to_its_own_format():
    config = small_config('resnet')
    config['head']['level_embed'] = True
    checkpoint = from_state(MODELS.build(config))
    assert checkpoint.report.architecture.member == 'ablation'
    with pytest.raises(CheckpointError, match="'ablation' has no place in a checkpoint of detectron2"):
        to_format(checkpoint, 'detectron2')


def test_a_checkpoint_of_the_other_model_is_refused(tmp_path):
    from mask2former.checkpoints.fit import check_fit

    maskformer, mask2former = build_small('resnet'), build_mask2former('resnet')
    for model, other in ((maskformer, mask2former), (mask2former, maskformer)):
        with pytest.raises(CheckpointError, match='does not fit the model: .* give the config that it was'):
            check_fit(model, dict(state_dict=from_state(other).state), 'x.pth')
