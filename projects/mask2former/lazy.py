"""Names that a package gives without importing the modules that have them."""

import importlib
import sys
from collections.abc import Callable
from typing import Any


def lazy_exports(package: str, **modules: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package (PEP 562) that imports a module when one of its names is asked for.

    Args:
        package: Its ``__name__``.
        modules: Of each name the module within the package that has it.
    """

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        value = getattr(importlib.import_module(f'{package}.{modules[name]}'), name)
        setattr(sys.modules[package], name, value)
        return value

    return get
