"""Make mmdet importable without mmcv's compiled extension, checkpoints loadable without unpickling code, what is logged
bounded, and this package's configs inheritable by name.

mmdet imports ``mmcv.ops`` with its models, and that needs ``mmcv._ext``, a compiled module which the wheel
``mmcv-lite`` does not carry. Nothing that Mask2Former runs needs it, so a placeholder stands in for it.
"""

import functools
import importlib.util
import os.path as osp
import sys
from importlib.machinery import ModuleSpec
from pickle import UnpicklingError
from types import ModuleType

HISTORY = 10_000  # more than a window of the log is, also one of an epoch of COCO with 16 images in a step


class _MissingExtension(ModuleType):
    """Stands in for ``mmcv._ext``: every op exists and raises one clear sentence when it is called."""

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)

        def missing_op(*args, **kwargs):
            from mask2former.errors import MissingPackageError

            raise MissingPackageError(
                f"mmcv's compiled op '{name}' was called, but this environment has mmcv-lite, which carries none. "
                'Install the full mmcv (pip install mmcv) to use it; nothing in mask2former needs it.'
            )

        return missing_op


def provide_mmcv_ext() -> bool:
    """Put a placeholder in the place of ``mmcv._ext`` where the compiled one is absent.

    Returns:
        True where the placeholder is in use, False where full mmcv is installed.
    """
    if isinstance(sys.modules.get('mmcv._ext'), _MissingExtension):
        return True
    if 'mmcv._ext' in sys.modules or importlib.util.find_spec('mmcv._ext') is not None:
        return False
    placeholder = _MissingExtension('mmcv._ext')
    # mmengine asks for the loader to learn whether mmcv has compiled ops: None says that it has not.
    placeholder.__spec__ = ModuleSpec('mmcv._ext', loader=None)
    sys.modules['mmcv._ext'] = placeholder
    return True


def allow_checkpoint_globals() -> None:
    """Allow-list what mmengine stores beside the weights, so that ``torch.load(weights_only=True)`` reads it.

    mmengine keeps its logged scalars as ``HistoryBuffer`` objects over numpy arrays, with a table of the buffer's own
    methods. Stand-ins take the arrays (:mod:`mask2former.pickled_arrays`); the methods are not taken from the file.
    """
    import numpy as np
    import torch

    from mask2former.pickled_arrays import NUMPY, NumberArray

    class History:
        def __setstate__(self, state: dict) -> None:
            from mmengine.logging import HistoryBuffer

            for name, value in state.items():
                if name != 'statistics_methods':
                    self.__dict__[name] = np.asarray(value) if isinstance(value, NumberArray) else value
            self.max_length = HISTORY  # of older files it is a million
            self.__class__ = HistoryBuffer  # type: ignore[assignment]
            self._set_default_statistics()  # type: ignore[attr-defined]

    def get_statistic(owner: type, name: str) -> None:
        """Stands in for ``getattr``, with which the file names the methods."""
        if owner is not History or name not in ('min', 'max', 'current', 'mean'):
            raise UnpicklingError(
                f"The checkpoint asks for attribute '{name}' of {owner!r}, which only code would need."
            )

    stand_ins = NUMPY | {'mmengine.logging.history_buffer.HistoryBuffer': History, 'builtins.getattr': get_statistic}
    torch.serialization.add_safe_globals([(stand_in, name) for name, stand_in in stand_ins.items()])


def bound_history() -> None:
    """Let mmengine keep the last values of what it logs: :data:`HISTORY` of each.

    Left alone it keeps a million, copies them all with each new one, and writes them into each checkpoint: in a
    training of 368,750 iterations with 35 logged values that is 200 MB each time.
    """
    from mmengine.logging import HistoryBuffer

    defaults = HistoryBuffer.__init__.__defaults__ or ()  # the last is that of max_length
    HistoryBuffer.__init__.__defaults__ = (*defaults[:-1], HISTORY)


def provide_config_scope() -> None:
    """Let configs inherit from this package: ``_base_ = 'mask2former::_base_/default_runtime.py'``.

    mmengine knows the packages of such bases from a fixed table and finds them through ``pkg_resources``, which current
    setuptools no longer has and which misses editable installs. Python's import system finds them in every install.
    """
    from mmengine.config import config
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE.setdefault('mask2former', 'mask2former')

    def find_package(package: str):
        modules = {package: module for module, package in MODULE2PACKAGE.items()}
        return importlib.util.find_spec(modules.get(package, package))

    def is_installed(package: str) -> bool:
        return find_package(package) is not None

    def get_installed_path(package: str) -> str:
        spec = find_package(package)
        if spec is None or spec.origin is None:
            from mask2former.errors import MissingPackageError

            raise MissingPackageError(
                f"A config names a file of '{package}', which is not installed here: pip install {package}."
            )
        return osp.dirname(spec.origin)

    config.is_installed = is_installed
    config.get_installed_path = get_installed_path


@functools.cache
def install() -> None:
    """Do all of the above, once in a process, each as soon as the package that it changes is imported."""
    from mask2former.when_imported import when_imported

    when_imported('torch', allow_checkpoint_globals)
    when_imported('mmengine', provide_config_scope)
    when_imported('mmengine', bound_history)
    when_imported('mmcv', provide_mmcv_ext)
