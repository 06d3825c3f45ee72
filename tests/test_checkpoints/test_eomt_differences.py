"""tue-mps/eomt's files of differences from DINOv3's weights, which are added as its own loader does it."""

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mask2former.apis import init_model
from mask2former.checkpoints.convert import convert_raw, read_checkpoint, to_format
from mask2former.checkpoints.read import RawCheckpoint
from mask2former.errors import CheckpointError

from .test_eomt import build, checkpoint_of, config
from .test_tools import convert

ENCODER = 'network.encoder.backbone.'


@pytest.fixture(scope='module')
def dinov3(tmp_path_factory):
    """A folder with transformers' DINOv3 of the small model's sizes, and that model."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    torch.manual_seed(1)
    sizes = dict(hidden_size=128, num_hidden_layers=5, num_attention_heads=2, intermediate_size=512)
    model = DINOv3ViTModel(DINOv3ViTConfig(num_register_tokens=4, **sizes))
    for parameter in model.parameters():
        nn.init.normal_(parameter)
    folder = tmp_path_factory.mktemp('base') / 'dinov3'
    model.save_pretrained(folder)
    return folder, model


def new_model(dinov3: nn.Module, trained: dict) -> dict:
    """What the reference adds the differences to: DINOv3 in its encoder, zeros elsewhere, and new buffers."""
    state = {name: torch.zeros_like(value) for name, value in trained.items()}
    state['network.attn_mask_probs'] += 1
    state |= {name: value for name, value in trained.items() if 'pixel_' in name}
    for name, value in dinov3.state_dict().items():
        part, _, rest = name.removeprefix('model.').partition('.')
        name = ENCODER + dict(embeddings='patch_embed.', layer='blocks.', norm='norm.')[part] + rest
        if 'mask_token' not in name:
            assert state[name].shape == value.shape
            state[name] = value.clone()
    return state


@pytest.fixture
def files(dinov3, tmp_path):
    """The reference's weights of a trained model, and the file of their differences."""
    trained, _ = to_format(checkpoint_of(build('dinov3')), 'eomt')
    new = new_model(dinov3[1], trained)
    difference = {name: value - new[name] for name, value in trained.items()}
    assert not difference['network.encoder.pixel_std'].any() and (difference['network.attn_mask_probs'] == -1).all()
    torch.save(difference, tmp_path / 'pytorch_model.bin')
    return {name: new[name] + value for name, value in difference.items()}, tmp_path / 'pytorch_model.bin'


def test_sums_are_those_of_the_reference_s_loader(files, dinov3, tmp_path, monkeypatch, capsys):
    """To the last bit, written in two formats."""
    expected, path = files
    assert convert(monkeypatch, path, tmp_path / 'sum.bin', '--to', 'eomt', '--base', dinov3[0]) is None
    assert "Licence of the weights: not stated; DINOv3's weights have the DINOv3 License." in capsys.readouterr().out
    written = torch.load(tmp_path / 'sum.bin', weights_only=True)['state_dict']
    assert written.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in written.items())
    assert convert(monkeypatch, path, tmp_path / 'sum.pth', '--to', 'mask2former', '--base', dinov3[0]) is None
    cfg = Config(dict(model=config('dinov3') | dict(metainfo=None)))
    meta = dict(dataset_meta=config('dinov3')['metainfo'])
    torch.save(dict(state_dict=read_checkpoint(tmp_path / 'sum.pth').state, meta=meta), tmp_path / 'model.pth')
    images = torch.randn(1, 3, 64, 64)
    loaded = init_model(cfg, tmp_path / 'model.pth', 'cpu')(images)
    for mine, other in zip(build('dinov3')(images), loaded):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-3)  # differences were rounded


def test_differences_alone_and_other_bases_are_refused(files, dinov3, tmp_path, monkeypatch):
    _, path = files
    message = convert(monkeypatch, path, tmp_path / 'a.pth', '--to', 'mask2former')
    assert "pytorch_model.bin' holds differences from DINOv3's weights" in message and '--base' in message
    state = dinov3[1].state_dict()
    others = {
        'narrow': {name: value[..., :64] for name, value in state.items()},
        'short': {name: value for name, value in state.items() if 'layer.4.' not in name},
        'long': state | {name.replace('layer.4.', 'layer.5.'): value for name, value in state.items()},
    }
    for name, other in others.items():
        torch.save(other, tmp_path / f'{name}.pth')
        message = convert(
            monkeypatch, path, tmp_path / 'a.pth', '--to', 'mask2former', '--base', tmp_path / f'{name}.pth'
        )
        assert "bin' holds differences from another transformer than the base, wh" in message and '\n' not in message
    assert not (tmp_path / 'a.pth').exists()


def test_a_base_for_whole_weights_is_refused(files):
    whole, _ = files
    with pytest.raises(CheckpointError, match="^'x.bin' holds weights, not differences from a base's: leave the base"):
        convert_raw(RawCheckpoint(whole, {}, {}), 'x.bin', base={})
