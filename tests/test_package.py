"""The wheel: it holds the configs and tools, and works from any directory, away from the repository."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY_MODULES = (
    'cv2',
    'huggingface_hub',
    'matplotlib',
    'matplotlib.pyplot',
    'pandas',
    'panopticapi',
    'safetensors',
    'scipy.optimize',
    'skimage',
    'torchvision',
    'transformers',
)


def run_python(code: str, *paths: Path, cwd: Path) -> str:
    """Run code in a fresh interpreter that finds modules in ``paths`` first; returns what it printed last."""
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(map(str, paths)))
    process = subprocess.run([sys.executable, '-c', code], cwd=cwd, env=env, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()[-1]


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A copy of what the package is built from, so that the build leaves nothing in the working tree."""
    source = tmp_path_factory.mktemp('source') / 'mask2former'
    source.mkdir()
    for name in (
        'LICENSE',
        'MANIFEST.in',
        'README.md',
        'benchmarks',
        'configs',
        'demo',
        'model-index.yml',
        'projects',
        'pyproject.toml',
        'requirements',
        'setup.cfg',
        'setup.py',
        'tools',
    ):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__', '.mim', '*.egg-info')
            )
        else:
            shutil.copy2(ROOT / name, source / name)
    return source


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('wheel')
    subprocess.run(
        [
            sys.executable,
            '-m',
            'pip',
            'wheel',
            '--quiet',
            '--no-index',
            '--no-build-isolation',
            '--no-deps',
            '--wheel-dir',
            out,
            source,
        ],
        check=True,
    )
    [path] = out.glob('*.whl')
    return path


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Path:
    """A directory with the wheel installed into it."""
    site = tmp_path_factory.mktemp('site')
    subprocess.run(
        [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-index', '--no-deps', '--target', site, wheel],
        check=True,
    )
    return site


@pytest.fixture
def empty(tmp_path) -> Path:
    directory = tmp_path / 'empty'
    directory.mkdir()
    return directory


def load_user_config(site: Path, directory: Path) -> dict:
    """Load, in an otherwise empty directory, a user's config that inherits from the package; returns its values."""
    leaf = 'mask2former::coco/panoptic/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
    (directory / 'mine.py').write_text(f"_base_ = '{leaf}'\nmine = 1\n")
    return json.loads(
        run_python(
            'import json, mask2former\n'
            'from mmengine.config import Config\n'
            "config = Config.fromfile('mine.py')\n"
            'from mask2former.datasets import dataset_metainfo\n'
            "classes = dataset_metainfo(config.train_dataloader.dataset)['classes']\n"
            'print(json.dumps(dict(file=mask2former.__file__, mine=config.mine, scope=config.default_scope,'
            ' depth=config.model.backbone.depth, classes=len(classes))))',
            site,
            cwd=directory,
        )
    )


def test_wheel_holds_every_module_config_and_tool(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        path.relative_to(ROOT / 'projects').as_posix()
        for path in (ROOT / 'projects' / 'mask2former').rglob('*')
        if path.suffix in ('.py', '.json', '.html', '.css', '.js') and '.mim' not in path.parts
    }
    for folder in ('configs', 'demo', 'tools'):
        expected |= {
            f'mask2former/.mim/{path.relative_to(ROOT).as_posix()}'
            for path in (ROOT / folder).rglob('*')
            if path.suffix in ('.py', '.sh', '.yml')
        }
    expected.add('mask2former/.mim/model-index.yml')
    assert not expected - names
    assert not [name for name in names if name.endswith('.pyc') or name.startswith('benchmarks')]


def test_wheel_says_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith('.dist-info/METADATA')]
        lines = archive.read(name).decode().splitlines()
    required = {line.split(': ')[1] for line in lines if line.startswith('Requires-Dist: ')}
    assert {'mmcv-lite<2.2.0,>=2.0.0', 'mmdet>=3.3.0', 'mmengine>=0.10.4', 'torch>=2.6'} <= required
    assert {line for line in lines if line.startswith('Provides-Extra: ')} == {
        'Provides-Extra: demo',
        'Provides-Extra: docs',
        'Provides-Extra: optional',
        'Provides-Extra: tests',
    }


def test_configs_of_the_wheel_can_be_inherited_from(installed, empty):
    loaded = load_user_config(installed, empty)
    assert Path(loaded['file']).is_relative_to(installed)
    assert loaded['mine'] == 1
    assert loaded['scope'] == 'mask2former'
    assert loaded['depth'] == 50 and loaded['classes'] == 133


def test_configs_of_an_editable_install_are_those_of_the_working_tree(source, tmp_path, empty):
    subprocess.run(
        [sys.executable, '-c', f'from setuptools import build_meta; build_meta.build_editable({str(tmp_path)!r})'],
        cwd=source,
        check=True,
        capture_output=True,
    )
    assert (source / 'projects' / 'mask2former' / '.mim' / 'configs').samefile(source / 'configs')
    loaded = load_user_config(source / 'projects', empty)
    assert Path(loaded['file']).is_relative_to(source)
    assert loaded['scope'] == 'mask2former'


def test_tools_of_the_wheel_run_by_name(installed, empty):
    """The commands of docs/package.md and its config, away from the repository."""
    page = (ROOT / 'docs' / 'package.md').read_text(encoding='utf-8')
    listed = run_tool(installed, empty)
    for command in re.findall(r'python -m mask2former ([a-z_]+) ', page):
        assert f'  {command} ' in listed
    for group, first in (('tools', 'predict'), ('analysis tools', 'ablate'), ('demo', 'image_demo')):
        assert f'\n\n{group}:\n  {first} ' in listed
    [config] = re.findall(r'<!-- package-config -->\n```python\n(.*?)```', page, re.S)
    (empty / 'mine.py').write_text(config)
    run_tool(installed, empty, *'make_shapes data/mine --num-train 2 --num-val 1 --size 64'.split())
    small = ['model.head.num_queries=5', 'model.criterion.num_points=16', 'train_dataloader.num_workers=0']
    small += ['train_dataloader.persistent_workers=False', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']
    run_tool(installed, empty, *'train mine.py --cfg-options train_cfg.max_iters=1'.split(), *small)
    assert (empty / 'work_dirs' / 'mine' / 'iter_1.pth').is_file()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run_tool(installed, empty, 'tran')
    assert "There is no tool 'tran'" in failed.value.stderr and "Did you mean 'train'?" in failed.value.stderr


def run_tool(site: Path, cwd: Path, *arguments: str) -> str:
    """Run ``python -m mask2former`` of an installation; returns what it printed."""
    env = dict(os.environ, PYTHONPATH=str(site))
    command = [sys.executable, '-m', 'mask2former', *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=True).stdout


def test_import_pulls_in_nothing_heavy_that_mmdet_does_not(installed, empty):
    report = f'\nimport json; print(json.dumps([name for name in {HEAVY_MODULES} if name in sys.modules]))'
    compat = installed / 'mask2former' / 'compat.py'
    with_mmdet_alone = run_python(
        f"import runpy, sys; runpy.run_path({str(compat)!r})['provide_mmcv_ext'](); import mmdet.registry" + report,
        cwd=empty,
    )
    with_mask2former = run_python('import sys, mask2former' + report, installed, cwd=empty)
    assert set(json.loads(with_mask2former)) <= set(json.loads(with_mmdet_alone))
    assert 'transformers' not in json.loads(with_mask2former)


def test_tools_start_without_what_few_of_them_use(installed, empty):
    """Their imports took longer than torch's; see mask2former.postponed."""
    code = (
        'import json, sys, mask2former.apis.run_config, mask2former.datasets, mask2former.engine\n'
        'import mask2former.evaluation, mask2former.models, mask2former.visualization\n'
        "slow = ('transformers', 'sympy', 'torch._dynamo', 'torch.distributed.fsdp', 'matplotlib.pyplot', 'timm')\n"
        'print(json.dumps([name for name in slow if name in sys.modules]))'
    )
    assert json.loads(run_python(code, installed, cwd=empty)) == []


# Imports and the distributions that bring them; cv2 comes with mmcv-lite, see requirements/runtime.txt.
DISTRIBUTIONS = dict(PIL='pillow', yaml='pyyaml', faster_coco_eval='faster-coco-eval', mmcv='mmcv-lite')
BROUGHT_ALONG = {'cv2'}
CHOSEN_BY_USER = {
    'deformops',
    'msda_triton',
    'torch_ms_deform_attn',
    'triton',
}  # backends that are taken where they are


def declared(*names: str) -> set[str]:
    """The distributions that requirements files name."""
    lines = [line for name in names for line in (ROOT / 'requirements' / name).read_text().splitlines()]
    return {re.split('[<>=; ]', line)[0].lower() for line in lines if line and not line.startswith('#')}


def test_every_direct_import_is_declared():
    imported: dict[str, Path] = {}
    for path in (ROOT / 'projects' / 'mask2former').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            imported |= {name.split('.')[0]: path for name in names}
    own = {'mask2former', *sys.stdlib_module_names, *BROUGHT_ALONG, *CHOSEN_BY_USER}
    packages = {name: DISTRIBUTIONS.get(name, name) for name in imported if name not in own}
    known = declared('runtime.txt', 'optional.txt', 'demo.txt')
    missing = {name: str(imported[name]) for name, distribution in packages.items() if distribution not in known}
    assert not missing
