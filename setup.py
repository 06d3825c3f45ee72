"""Carry configs and tools inside the package, where mmengine looks for them: ``mask2former/.mim``.

A wheel gets copies; an editable install gets links into the working tree, so that edits are seen at once.
"""

import os
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM_CONTENT = ('configs', 'demo', 'tools', 'model-index.yml')


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
    else:
        shutil.copy2(source, target)


def _link(source: Path, target: Path) -> None:
    try:
        target.symlink_to(os.path.relpath(source, target.parent), target_is_directory=source.is_dir())
    except OSError:  # file systems and Windows accounts without symbolic links
        _copy(source, target)


class BuildWithMim(build_py):
    """``build_py`` that also fills ``mask2former/.mim``."""

    def run(self) -> None:
        super().run()
        parent = ROOT / 'projects' if self.editable_mode else Path(self.build_lib)
        mim = parent / 'mask2former' / '.mim'
        shutil.rmtree(mim, ignore_errors=True)  # removes links, never what they point at
        mim.mkdir(parents=True)
        for name in MIM_CONTENT:
            source = ROOT / name
            if not source.exists():
                raise FileNotFoundError(f'{source} is missing: build mask2former from a complete checkout or sdist.')
            (_link if self.editable_mode else _copy)(source, mim / name)


setup(cmdclass={'build_py': BuildWithMim})
