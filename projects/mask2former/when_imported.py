"""Calls functions once a package is imported, or at once where it is already.

So ``import mask2former`` changes what it has to change in torch, mmengine, mmcv and mmdet and imports none of them: the
command line answers ``--help`` before torch is imported, which takes seconds.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Finder(MetaPathFinder):
    """Finds the awaited packages as Python does, and calls what awaits them after their code has run."""

    def __init__(self) -> None:
        self.awaiting: dict[str, list[Callable[[], object]]] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self.awaiting:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        specs = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            self._follow(spec.loader, fullname)
        return spec

    def _follow(self, loader: Loader, package: str) -> None:
        """Let the loader call what awaits the package: who asks only whether it is there never comes so far."""
        run = loader.exec_module

        def run_then_call(module: ModuleType) -> None:
            run(module)
            for then in self.awaiting.pop(package, ()):
                then()

        loader.exec_module = run_then_call  # type: ignore[method-assign]


_FINDER = _Finder()


def when_imported(package: str, then: Callable[[], object]) -> None:
    """Call ``then`` after the first import of a top-level package, now if it is imported already."""
    if package in sys.modules:
        then()
        return
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.awaiting.setdefault(package, []).append(then)
