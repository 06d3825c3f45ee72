"""What the ``type`` of a config names."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

from mmengine import registry as registries
from mmengine.registry import Registry

from mask2former import registry as our_registries
from mask2former.postponed import Postponed

# mmengine's names of the registries that all packages have.
REGISTRIES = tuple(
    name for name, value in vars(registries).items() if isinstance(value, Registry) and hasattr(our_registries, name)
)


def find(kind: Any, names: Iterable[str]) -> Callable | None:
    """What a ``type`` names in the first registry that has it, in the present scope."""
    if not isinstance(kind, str):
        return kind
    for name in names:
        with _registry(name) as registry, suppress(RuntimeError):  # mmengine's way to say no
            found = registry.get(kind)
            if found is not None:
                return found.real() if isinstance(found, Postponed) else found
    return None


def _registry(name: str) -> AbstractContextManager[Registry]:
    """The registry that mmengine builds from in the present scope; functions have one for all scopes."""
    registry = getattr(registries, name)
    return registry.switch_scope_and_registry(None) if name != 'FUNCTIONS' else nullcontext(registry)


def names_in(name: str) -> set[str]:
    """All names in a registry and in those that it looks in, without scopes."""
    found: set[str] = set()
    with _registry(name) as registry:
        while registry is not None:
            found |= set(registry.module_dict)
            registry = registry.parent
    return found
