"""EoMT's checkpoints: transformers', tue-mps/eomt's and ours."""

import random
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mask2former.apis import init_model
from mask2former.checkpoints.convert import convert_raw, read_checkpoint, to_format
from mask2former.checkpoints.infer import without_memory
from mask2former.checkpoints.infer_eomt import expected_eomt_shapes, infer_eomt
from mask2former.checkpoints.read import RawCheckpoint
from mask2former.checkpoints.write import write_checkpoint
from mask2former.errors import CheckpointError
from mask2former.registry import MODELS
from tests.test_models.test_eomt import small

from .small import build_small as build_mask2former
from .small import random_state

KINDS = small.KINDS
SIDE = 64
ROOT = Path(__file__).parents[2]


def config(kind):
    """The small model, with heads of 64 channels, as all published ones."""
    cfg = small.small_config(kind, SIDE)
    width = 344 if kind == 'dinov2-gated' else 512
    cfg['backbone'].update(embed_dims=128, ffn_dims=width)
    cfg['head'].update(ffn_dims=width)
    return cfg


def build(kind):
    torch.manual_seed(0)
    model = MODELS.build(config(kind))
    small.randomise(model)
    model.head.mask_probability.fill_(0.0)
    return model.eval()


def checkpoint_of(model, meta=None):
    return convert_raw(RawCheckpoint(dict(model.state_dict()), dict(meta or {}), {}), 'model')


def read(state):
    return convert_raw(RawCheckpoint(dict(state), {}, {}), 'x.pth')


def assert_same(state, other):
    assert state.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in state.items())


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.filterwarnings('ignore')
def test_transformers_loads_what_is_written_and_its_files_are_read(kind, tmp_path):
    from transformers import EomtDinov3ForUniversalSegmentation, EomtForUniversalSegmentation

    peer_class = EomtDinov3ForUniversalSegmentation if kind == 'dinov3' else EomtForUniversalSegmentation
    ours = build(kind)
    meta = dict(dataset_meta=dict(classes=small.CLASSES))
    write_checkpoint(checkpoint_of(ours, meta), tmp_path / 'written', 'transformers')
    peer, info = peer_class.from_pretrained(tmp_path / 'written', output_loading_info=True)
    assert set(info['missing_keys']) <= {'criterion.empty_weight'} and not info['unexpected_keys'], info
    assert not info['mismatched_keys']
    assert peer.config.id2label == dict(enumerate(small.CLASSES))
    if kind == 'dinov3':  # no weight tells the size of images
        peer = peer_class.from_pretrained(tmp_path / 'written', image_size=SIDE)
    images = torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        classes, masks = ours(images)
        theirs = peer.eval()(pixel_values=images)
    torch.testing.assert_close(classes, theirs.class_queries_logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(masks, theirs.masks_queries_logits, rtol=1e-4, atol=1e-4)

    peer.save_pretrained(tmp_path / 'theirs')
    again = read_checkpoint(tmp_path / 'theirs')
    assert_same(again.state, ours.state_dict())
    assert again.meta['dataset_meta'] == dict(classes=small.CLASSES)
    assert again.report.source == 'transformers' and again.report.architecture.member == 'eomt'


def reference_shapes(rotated, blocks, width, ffn, head_blocks, queries, classes, side, gated=False):
    """Names and shapes of a file of tue-mps/eomt: its own modules with timm's DINOv2 or transformers' DINOv3."""
    encoder, shapes = 'network.encoder.backbone.', {}
    if rotated:
        shapes[encoder + 'patch_embed.cls_token'] = (1, 1, width)
        shapes[encoder + 'patch_embed.register_tokens'] = (1, 4, width)
        shapes[encoder + 'patch_embed.patch_embeddings.weight'] = (width, 3, 16, 16)
        shapes[encoder + 'patch_embed.patch_embeddings.bias'] = (width,)
    else:
        shapes[encoder + 'cls_token'] = (1, 1, width)
        shapes[encoder + 'reg_token'] = (1, 4, width)
        shapes[encoder + 'pos_embed'] = (1, (side // 16) ** 2, width)
        shapes[encoder + 'patch_embed.proj.weight'] = (width, 3, 16, 16)
        shapes[encoder + 'patch_embed.proj.bias'] = (width,)
    for i in range(blocks):
        block = f'{encoder}blocks.{i}.'
        if rotated:
            scales = ('layer_scale1.lambda1', 'layer_scale2.lambda1')
            linear = {f'attention.{x}_proj': (width, width) for x in 'qkvo'}
            linear |= {'mlp.up_proj': (ffn, width), 'mlp.down_proj': (width, ffn)}
        else:
            scales = ('ls1.gamma', 'ls2.gamma')
            linear = {'attn.qkv': (3 * width, width), 'attn.proj': (width, width)}
            linear |= {'mlp.fc1': (2 * ffn if gated else ffn, width), 'mlp.fc2': (width, ffn)}
        shapes |= {block + name: (width,) for name in scales}
        for name, shape in linear.items():
            shapes[f'{block}{name}.weight'] = shape
            if name != 'attention.k_proj':
                shapes[f'{block}{name}.bias'] = shape[:1]
        for name in ('norm1', 'norm2'):
            shapes |= {f'{block}{name}.{p}': (width,) for p in ('weight', 'bias')}
    shapes |= {f'{encoder}norm.{p}': (width,) for p in ('weight', 'bias')}
    shapes |= {'network.q.weight': (queries, width), 'network.attn_mask_probs': (head_blocks,)}
    heads = {'class_head': classes + 1} | {f'mask_head.{i}': width for i in (0, 2, 4)}
    for name, size in heads.items():
        shapes |= {f'network.{name}.weight': (size, width), f'network.{name}.bias': (size,)}
    for i in range(2):
        scale = f'network.upscale.{i}.'
        shapes |= {scale + 'conv1.weight': (width, width, 2, 2), scale + 'conv1.bias': (width,)}
        shapes |= {scale + 'conv2.weight': (width, 1, 3, 3)}
        shapes |= {scale + 'norm.weight': (width,), scale + 'norm.bias': (width,)}
    return shapes | {f'network.encoder.pixel_{kind}': (1, 3, 1, 1) for kind in ('mean', 'std')}


SIZES = dict(
    small=dict(blocks=12, width=384, ffn=1536, head_blocks=3),
    base=dict(blocks=12, width=768, ffn=3072, head_blocks=3),
    large=dict(blocks=24, width=1024, ffn=4096, head_blocks=4),
    giant=dict(blocks=40, width=1536, ffn=4096, head_blocks=5, gated=True),
)


@pytest.mark.parametrize(
    ('size', 'rotated', 'name'), [('small', False, 'ViT-S, learned'), ('large', True, 'ViT-L, rotated')]
)
def test_the_reference_s_files_there_and_back(size, rotated, name):
    """Its names and shapes at full size, bit for bit."""
    shapes = reference_shapes(rotated, queries=200, classes=133, side=640, **SIZES[size])
    source = random_state(shapes)
    ours = read(source)
    assert str(ours.report.architecture) == f'EoMT of a {name} positions, 200 queries, 133 classes'
    assert ours.state.keys() == expected_eomt_shapes(ours.report.architecture).keys()
    written, _ = to_format(ours, 'eomt')
    assert {name: tuple(value.shape) for name, value in written.items()} == shapes
    for name in source:
        assert torch.equal(written[name], source[name]) or 'pixel' in name
    hub, _ = to_format(ours, 'transformers')
    again = read(hub)
    assert_same(again.state, ours.state)
    assert_same(to_format(again, 'eomt')[0], written)


@pytest.mark.parametrize(
    ('config', 'size', 'classes', 'queries', 'side'),
    [
        ('coco/panoptic/eomt_dinov2-s_8xb2-640-24e_coco-panoptic', 'small', 133, 200, 640),
        ('coco/panoptic/eomt_dinov2-b_8xb2-640-24e_coco-panoptic', 'base', 133, 200, 640),
        ('coco/panoptic/eomt_dinov2-g_8xb2-1280-12e_coco-panoptic', 'giant', 133, 200, 1280),
        ('coco/panoptic/eomt_dinov3-l_8xb2-640-12e_coco-panoptic', 'large', 133, 200, 640),
        ('cityscapes/semantic/eomt_dinov2-l_8xb2-1024-107e_cityscapes-semantic', 'large', 19, 100, 1024),
    ],
)
def test_the_reference_s_files_fill_the_models_of_the_configs(config, size, classes, queries, side):
    """Names and shapes at full size."""
    shapes = reference_shapes('dinov3' in config, queries=queries, classes=classes, side=side, **SIZES[size])
    ours = read({name: torch.ones(()).expand(shape) for name, shape in shapes.items()})
    cfg = Config.fromfile(ROOT / 'configs' / f'{config}.py').model
    with DefaultScope.overwrite_default_scope('mask2former'), without_memory():
        model = MODELS.build(dict(cfg, metainfo=dict(classes=('x',) * classes, isthing=(True,) * classes)))
    assert {name: value.shape for name, value in ours.state.items()} == {
        name: value.shape for name, value in model.state_dict().items()
    }
    assert cfg.head.num_heads == cfg.backbone.num_heads == ours.report.architecture.num_heads


def test_halves_of_a_gated_network_are_the_reference_s():
    """timm's GluMlp with ``gate_last=False``: the first half is the gate."""
    ours = build('dinov2-gated')
    written, _ = to_format(checkpoint_of(ours), 'eomt')
    block, theirs = ours.backbone.blocks[0], 'network.encoder.backbone.blocks.0.mlp.'
    x = torch.randn(3, 128)
    gate, value = torch.nn.functional.linear(x, written[theirs + 'fc1.weight'], written[theirs + 'fc1.bias']).chunk(
        2, -1
    )
    expected = torch.nn.functional.linear(
        torch.nn.functional.silu(gate) * value, written[theirs + 'fc2.weight'], written[theirs + 'fc2.bias']
    )
    torch.testing.assert_close(block.ffn(x), expected)


def test_a_gated_network_of_transformers_4():
    state, _ = to_format(checkpoint_of(build('dinov2-gated')), 'transformers')
    old = {}
    for name, value in state.items():
        if '.up_proj.' not in name:
            up = state.get(name.replace('gate_proj', 'up_proj'))
            old[name.replace('gate_proj', 'weights_in').replace('down_proj', 'weights_out')] = (
                torch.cat((value, up)) if '.gate_proj.' in name else value
            )
    assert_same(read(old).state, build('dinov2-gated').state_dict())


@pytest.mark.parametrize('target', ['mask2former', 'transformers', 'eomt'])
def test_a_model_takes_a_file_of_any_format(target, tmp_path):
    ours = build('dinov3')
    path = tmp_path / dict(transformers='folder', eomt='pytorch_model.bin', mask2former='x.pth')[target]
    write_checkpoint(checkpoint_of(ours, dict(dataset_meta=dict(classes=small.CLASSES))), path, target)
    model = init_model(Config(dict(model=config('dinov3'))), path, 'cpu')
    assert_same(model.state_dict(), ours.state_dict())
    with pytest.raises(CheckpointError, match='does not fit the model'):
        init_model(Config(dict(model=config('dinov2'))), path, 'cpu')


@pytest.mark.parametrize('target', ['mmdet', 'detectron2'])
def test_it_has_no_place_elsewhere(target):
    with pytest.raises(CheckpointError, match=f"'eomt' has no place in a checkpoint of {target}"):
        to_format(checkpoint_of(build('dinov2')), target)
    with pytest.raises(CheckpointError, match="'mask2former' has no place in a checkpoint of eomt"):
        to_format(checkpoint_of(build_mask2former('resnet')), 'eomt')


@pytest.mark.parametrize('kind', KINDS)
def test_shapes_are_the_model_s(kind):
    state = build(kind).state_dict()
    assert dict(expected_eomt_shapes(infer_eomt(state))) == {name: tuple(value.shape) for name, value in state.items()}


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('target', ['mask2former', 'transformers', 'eomt'])
def test_a_weight_that_is_missing_or_wrong_is_named(kind, target):
    written, _ = to_format(checkpoint_of(build(kind)), target)
    generator = random.Random(0)
    needed = [name for name in sorted(written) if 'empty_weight' not in name and 'pixel_' not in name]
    for name in generator.sample(needed, 12):
        for state in (
            {key: value for key, value in written.items() if key != name},
            dict(written, **{name: torch.zeros(3, 5, 2)}),
        ):
            with pytest.raises(CheckpointError, match=r"^'x.pth' [^\n]*[.]$"):
                read(state)


def test_differences_from_dinov3_are_refused():
    """What tue-mps/eomt publishes of DINOv3's models is to be added to DINOv3's weights."""
    state, _ = to_format(checkpoint_of(build('dinov3')), 'eomt')
    state['network.encoder.pixel_std'] = torch.zeros(1, 3, 1, 1)
    with pytest.raises(CheckpointError, match=r"^'x.pth' holds differences from DINOv3's weights[^\n]*[.]$"):
        read(state)
