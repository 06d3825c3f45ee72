"""The order of a backbone's blocks, as its modules have it: what is frozen first, and what learns slowest."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn

LISTS = (nn.ModuleList, nn.Sequential)
BLOCKS = ('blocks', 'layers')  # what a stage calls its list of blocks


class LayerOrder(NamedTuple):
    """Where each parameter of a backbone stands.

    Attributes:
        depths: Name of each parameter -> 0 for what comes before the first block, i for the i-th block, one more than
            there are blocks for what follows the last. What lies between two blocks counts with the later one.
        stages: The same, of stages; a plain transformer's block is a stage.
    """

    depths: dict[str, int]
    stages: dict[str, int]


def layer_order(module: nn.Module) -> LayerOrder:
    """The order of a module's parameters by its lists of equal blocks.

    The blocks are the elements of the outermost lists whose elements are of one class, unless these are stages, that
    is lists or modules with ``blocks`` or ``layers``: then the stages' elements are. Several such lists side by side
    (``layer1`` to ``layer4`` of a ResNet) are the stages.
    """
    stages = list(_stages(module))
    stage_of = {block: number for number, stage in enumerate(stages, start=1) for block in stage}
    depth_of = {block: number for number, block in enumerate(stage_of, start=1)}
    owners = _owners(module, set(stage_of))
    depths, numbers = {}, {}
    depth, number = len(depth_of) + 1, len(stages) + 1
    for name, owner in reversed(owners.items()):
        if owner is not None:
            depth, number = depth_of[owner], stage_of[owner]
        depths[name], numbers[name] = depth, number
    for name, owner in owners.items():
        if owner is not None:
            break
        depths[name] = numbers[name] = 0
    return LayerOrder({name: depths[name] for name in owners}, {name: numbers[name] for name in owners})


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """The blocks, in order."""
    return [block for stage in _stages(module) for block in stage]


def _stages(module: nn.Module) -> Iterator[list[nn.Module]]:
    for elements in _outermost_lists(module):
        inner = [_blocks(element) for element in elements]
        if all(blocks is not None for blocks in inner):
            yield from (blocks for blocks in inner if blocks)
        elif _is_one_of_several(module, elements):
            yield elements
        else:
            yield from ([element] for element in elements)


def _outermost_lists(module: nn.Module) -> Iterator[list[nn.Module]]:
    for child in module.children():
        if _is_list_of_blocks(child):
            yield list(child.children())
        else:
            yield from _outermost_lists(child)


def _is_one_of_several(module: nn.Module, elements: list[nn.Module]) -> bool:
    return any(other[0] is not elements[0] for other in _outermost_lists(module))


def _is_list_of_blocks(module: nn.Module) -> bool:
    """Whether it is a list of one class of modules, other than torch's layers."""
    elements = list(module.children())
    kinds = {type(element) for element in elements}
    if not isinstance(module, LISTS) or len(kinds) != 1:
        return False
    kind = kinds.pop()
    return issubclass(kind, LISTS) or not kind.__module__.startswith('torch.nn.')


def _blocks(stage: nn.Module) -> list[nn.Module] | None:
    """The blocks of a stage; None of what is none."""
    if isinstance(stage, LISTS):
        return list(stage.children())
    found = next((getattr(stage, name) for name in BLOCKS if isinstance(getattr(stage, name, None), LISTS)), None)
    return None if found is None else list(found.children())


def _owners(module: nn.Module, blocks: set[nn.Module]) -> dict[str, nn.Module | None]:
    """Name of each parameter, in the modules' order -> the block that it lies in."""
    owners: dict[str, nn.Module | None] = {}

    def visit(part: nn.Module, prefix: str, owner: nn.Module | None) -> None:
        owner = part if part in blocks else owner
        for name, _ in part.named_parameters(recurse=False):
            owners[prefix + name] = owner
        for name, child in part.named_children():
            visit(child, f'{prefix}{name}.', owner)

    visit(module, '', None)
    return owners
