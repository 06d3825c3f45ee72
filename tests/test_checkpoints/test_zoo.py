"""Names of published models lead to a config and weights."""

import pytest

from mask2former.checkpoints.fetch import locate
from mask2former.checkpoints.zoo import find_config, hub_name, license_of, model_zoo, package_root, resolve
from mask2former.errors import CheckpointError

from .small import METAFILE, SWIN_T


def test_names_of_the_model_zoo(root):
    for name in ('mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco-panoptic', 'swin-t-panoptic'):
        model = resolve(name, root)
        assert model.config == root / SWIN_T and model.weights == 'https://example.org/weights/swin-t-12345678.pth'
        assert find_config(name, root) == root / SWIN_T and locate(name, root) == model.weights
    with pytest.raises(CheckpointError, match="'untrained' has no weights yet"):
        locate('untrained', root)
    with pytest.raises(FileNotFoundError, match="no checkpoint 'swin-t-panoptik'.*Or did you mean .*'swin-t-panoptic'"):
        locate('swin-t-panoptik', root)
    with pytest.raises(FileNotFoundError, match="no config 'swin-t-panoptik'.*'swin-t-panoptic'"):
        find_config('swin-t-panoptik', root)


def test_names_of_the_hub(root):
    name = 'facebook/mask2former-swin-tiny-coco-panoptic'
    model = resolve(name, root)
    assert model.config == root / SWIN_T and model.weights == f'hf://{name}'
    assert find_config('facebook/mask2former-swin-base-IN21k-ade-semantic', root).parent.name == 'semantic'
    assert locate('somebody/their-mask2former', root) == 'hf://somebody/their-mask2former'
    with pytest.raises(CheckpointError, match='There is no config for .*cityscapes.* here'):
        find_config('facebook/mask2former-swin-large-cityscapes-instance', root)
    for wrong in ('a/b.pth', 'a/b/c', 'facebook/..', 'gone.pkl'):
        with pytest.raises(FileNotFoundError, match='no checkpoint'):
            locate(wrong, root)


def test_licences(root):
    weights = 'https://example.org/weights/swin-t-12345678.pth'
    for source in ('swin-t-panoptic', weights, 'downloads/swin-t-12345678.pth'):
        assert license_of(source, {}, root) == 'CC BY-NC 4.0'
    hub = 'facebook/mask2former-swin-tiny-coco-panoptic'
    assert (
        license_of(hub, {}, root) == license_of(f'hf://{hub}', {}, root) == resolve(hub, root).license == 'CC BY-NC 4.0'
    )
    maskformer = (
        'https://dl.fbaipublicfiles.com/maskformer/semantic-ade20k/maskformer_R50_bs16_160k/model_final_d8dbeb.pkl'
    )
    for source in ('hf://facebook/maskformer-swin-tiny-ade', 'facebook/maskformer-swin-tiny-ade'):
        assert license_of(source, {}, root) == 'CC BY-NC 4.0'
    for source in (maskformer, 'downloads/model_final_d8dbeb.pkl', 'maskformer_r50_160k_ade20k-semantic'):
        assert license_of(source, {}) == 'CC BY-NC 4.0'
    for source in ('mine.pth', 'untrained', 'somebody/their-mask2former', '.'):
        assert license_of(source, {}, root) is None
    assert license_of(weights, dict(license='MIT'), root) == 'MIT'
    assert license_of('mine.pth', dict(license=7), root) is None


def test_every_published_model_has_the_reference_s_licence():
    licences = {}
    for entry in model_zoo().values():
        licences.setdefault(entry['Metadata']['Published by'], set()).add(entry['Metadata']['License of weights'])
    facebook = {f'facebookresearch/{name}': {'CC BY-NC 4.0'} for name in ('Mask2Former', 'MaskFormer')}
    assert {name: found for name, found in licences.items() if name != 'tue-mps/eomt'} == facebook
    assert len(licences['tue-mps/eomt']) == 2 and all(
        text.startswith('not stated') for text in licences['tue-mps/eomt']
    )


def test_names_of_eomt():
    hub = 'tue-mps/coco_panoptic_eomt_large_640'
    for name in (hub, 'eomt-dinov2-l-640-coco-panoptic', 'eomt_dinov2-l_8xb2-640-12e_coco-panoptic'):
        assert locate(name) == f'https://huggingface.co/{hub}/resolve/main/pytorch_model.bin'
        assert find_config(name).stem == 'eomt_dinov2-l_8xb2-640-12e_coco-panoptic'
    for source in (hub, f'hf://{hub}', locate(hub)):
        assert license_of(source, {}) == resolve(hub).license == 'not stated; the code of tue-mps/eomt is MIT'
    # Files of many projects have this name.
    assert license_of('downloads/pytorch_model.bin', {}) is None


def test_hub_name_with_an_alias_in_the_zoo(root):
    metafile = root / 'configs/coco/metafile.yml'
    metafile.write_text(METAFILE.replace('[swin-t-panoptic]', '[facebook/mask2former-swin-tiny-coco-panoptic]'))
    assert resolve('facebook/mask2former-swin-tiny-coco-panoptic', root).weights.startswith('https://example.org')


def test_facts_of_the_hub():
    swin_l, swin_b = 'swin-l-p4-w12-384-in21k', 'swin-b-p4-w12-384'
    assert hub_name('facebook/mask2former-swin-large-coco-instance') == ('mask2former', swin_l, 'coco', 'instance')
    assert hub_name('facebook/mask2former-swin-base-ade-semantic') == ('mask2former', swin_b, 'ade20k', 'semantic')
    assert hub_name('facebook/maskformer-swin-large-ade') == ('maskformer', swin_l, 'ade20k', 'semantic')
    for wrong in (
        'facebook/mask2former-swin-huge-coco-panoptic',
        'facebook/mask2former-swin-tiny-coco-semantic',
        'other/mask2former-swin-tiny-coco-panoptic',
        'facebook/mask2former-swin-tiny-coco-panoptic-2',
    ):
        assert hub_name(wrong) is None


def test_this_repository_s_own_zoo():
    assert isinstance(model_zoo(), dict)
    config = resolve('facebook/mask2former-swin-tiny-coco-instance').config
    assert config.name.startswith('mask2former_swin-t') and config.stem.endswith('coco-instance')


def test_metafiles_that_are_wrong(root):
    (root / 'configs/coco/metafile.yml').write_text('Models:\n  - Name: a\n')
    with pytest.raises(CheckpointError, match='metafile.yml.* without Name or Config'):
        model_zoo(root)
    (root / 'configs/coco/metafile.yml').write_text('Models: [')
    with pytest.raises(CheckpointError, match='metafile.yml.* is no YAML file'):
        model_zoo(root)
    (root / 'configs/coco/metafile.yml').unlink()
    with pytest.raises(CheckpointError, match='metafile.yml.* is missing'):
        model_zoo(root)


def test_package_root_has_the_index():
    assert (package_root() / 'model-index.yml').is_file() and (package_root() / 'configs').is_dir()
