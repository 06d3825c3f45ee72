"""Key maps: one declarative table per checkpoint format, read in both directions.

A table is a list of rules ``(ours, theirs)`` or ``(ours, theirs, change)``. Names are templates: ``{field}`` stands for
one part of a dotted name and is the same on both sides; ``{rest*}`` stands for any number of parts. A side that is a
list of three templates is one tensor on the other side: their concatenation in the first dimension.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Change(NamedTuple):
    """A change of a tensor's values between the formats, with its inverse."""

    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]


Template = str | list[str]
Rule = tuple[Template, Template] | tuple[Template, Template, Change]


class KeyMap:
    """Renames, splits and joins the tensors of a state dict.

    Args:
        rules (list[Rule]): The table; the first rule that fits a name counts.
        ignored (list[str]): Templates of their names that carry no weights (counters, tables computed anew).
    """

    def __init__(self, rules: list[Rule], ignored: list[str] | None = None) -> None:
        self.rules = [(*rule, None)[:3] for rule in rules]
        self.ignored = [_pattern(template) for template in ignored or []]

    def to_ours(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Our state dict from theirs.

        Raises:
            KeyError: If a name fits no rule.
        """
        state = {name: value for name, value in state.items() if not any(p.fullmatch(name) for p in self.ignored)}
        return _convert(state, [(theirs, ours, change and change.to_ours) for ours, theirs, change in self.rules])

    def to_theirs(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Their state dict from ours; what they ignore is not made.

        Raises:
            KeyError: If a name fits no rule.
        """
        return _convert(state, [(ours, theirs, change and change.to_theirs) for ours, theirs, change in self.rules])


def _pattern(template: str) -> re.Pattern:
    pattern = re.escape(template).replace(r'\{', '{').replace(r'\}', '}').replace(r'\*', '*')
    pattern = re.sub(r'\{(\w+)\*\}', r'(?P<\1>.+)', pattern)
    return re.compile(re.sub(r'\{(\w+)\}', r'(?P<\1>[^.]+)', pattern))


def _fill(template: str, fields: dict[str, str]) -> str:
    return re.sub(r'\{(\w+)\*?\}', lambda match: fields[match[1]], template)


def _convert(state: dict[str, Tensor], rules: list[tuple]) -> dict[str, Tensor]:
    """Apply rules (source, target, function) to a state dict."""
    compiled = []
    for source, target, function in rules:
        first = source[0] if isinstance(source, list) else source
        compiled.append((_pattern(first), source, target, function))
    parts = {_pattern(part) for _, source, _, _ in compiled if isinstance(source, list) for part in source[1:]}
    converted = {}
    for name, value in state.items():
        for pattern, source, target, function in compiled:
            match = pattern.fullmatch(name)
            if not match:
                continue
            fields = match.groupdict()
            if isinstance(source, list):
                value = torch.cat([state[_fill(part, fields)] for part in source])
            if function is not None:
                value = function(value)
            if isinstance(target, list):
                converted.update(zip((_fill(part, fields) for part in target), value.chunk(len(target))))
            else:
                converted[_fill(target, fields)] = value
            break
        else:
            if not any(part.fullmatch(name) for part in parts):
                raise KeyError(f"No rule of the key map fits '{name}'.")
    return converted
