"""Key maps: one declarative table per checkpoint format, read in both directions.

A table is a list of rules ``(ours, theirs)`` or ``(ours, theirs, change)``. Names are templates: ``{field}`` stands for
one part of a dotted name and is the same on both sides; ``{rest*}`` stands for any number of parts. A side that is a
list of templates is one tensor on the other side: their concatenation in the first dimension.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Change(NamedTuple):
    """A change of a tensor's values between the formats, with its inverse."""

    to_ours: Callable[[Tensor], Tensor]
    to_theirs: Callable[[Tensor], Tensor]


class Converted(NamedTuple):
    """A converted state dict, and what became of every name that is not in it.

    Attributes:
        state: The weights under their new names.
        dropped: Names that carry no weights, each with the reason why it is left out.
        unknown: Names that fit no rule.
    """

    state: dict[str, Tensor]
    dropped: dict[str, str]
    unknown: list[str]


Template = str | list[str]
Rule = tuple[Template, Template] | tuple[Template, Template, Change]
Substitution = tuple[str, str | Callable[[re.Match], str]]  # as `re.sub` takes them


class KeyMap:
    """Renames, splits and joins the tensors of a state dict.

    Args:
        rules: The table; the first rule that fits a name counts.
        ignored: Templates of their names that carry no weights (counters, tables that are computed again), each with
            the reason why it is left out.
        ours_ignored: The same of our names, which have no place in the other format.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        ignored: Mapping[str, str] | None = None,
        ours_ignored: Mapping[str, str] | None = None,
    ) -> None:
        triples = [(rule[0], rule[1], rule[2] if len(rule) == 3 else None) for rule in rules]
        self._to_ours = _Direction(
            [(theirs, ours, change and change.to_ours) for ours, theirs, change in triples], ignored or {}
        )
        self._to_theirs = _Direction(
            [(ours, theirs, change and change.to_theirs) for ours, theirs, change in triples], ours_ignored or {}
        )

    def read(self, state: Mapping[str, Tensor]) -> Converted:
        """Our state dict from theirs, with an account of every name.

        Raises:
            ValueError: If tensors that belong together are not all there or do not fit each other.
        """
        return self._to_ours.convert(state)

    def write(self, state: Mapping[str, Tensor]) -> Converted:
        """Their state dict from ours, with an account of every name; what they ignore is not made.

        Raises:
            ValueError: If tensors that belong together are not all there or do not fit each other.
        """
        return self._to_theirs.convert(state)

    def to_ours(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our state dict from theirs.

        Raises:
            KeyError: If a name fits no rule.
        """
        return _all_known(self.read(state))

    def to_theirs(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Their state dict from ours; what they ignore is not made.

        Raises:
            KeyError: If a name fits no rule.
        """
        return _all_known(self.write(state))


def rename(state: Mapping[str, Tensor], substitutions: Sequence[Substitution]) -> dict[str, Tensor]:
    """Names of another age of a format as the key map knows them: regular expressions, applied in order."""
    renamed: OrderedDict[str, Tensor] = OrderedDict()
    for name, value in state.items():
        for pattern, replacement in substitutions:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    if hasattr(state, '_metadata'):  # versions of modules, which torch keeps there
        renamed._metadata = state._metadata  # type: ignore[attr-defined]
    return renamed


def _all_known(converted: Converted) -> dict[str, Tensor]:
    if converted.unknown:
        raise KeyError(f"No rule of the key map fits '{converted.unknown[0]}'.")
    return converted.state


def _pattern(template: str) -> re.Pattern:
    pattern = re.escape(template).replace(r'\{', '{').replace(r'\}', '}').replace(r'\*', '*')
    pattern = re.sub(r'\{(\w+)\*\}', r'(?P<\1>.+)', pattern)
    return re.compile(re.sub(r'\{(\w+)\}', r'(?P<\1>[^.]+)', pattern))


def _fill(template: str, fields: dict[str, str]) -> str:
    return re.sub(r'\{(\w+)\*?\}', lambda match: fields[match[1]], template)


class _Direction:
    """Rules (source, target, function) and what to leave out."""

    def __init__(self, rules: list[tuple], ignored: Mapping[str, str]) -> None:
        self.ignored = [(_pattern(template), reason) for template, reason in ignored.items()]
        self.rules = [
            (_pattern(source[0] if isinstance(source, list) else source), source, target, function)
            for source, target, function in rules
        ]
        self.parts = [
            (_pattern(part), source[0]) for source, _, _ in rules if isinstance(source, list) for part in source[1:]
        ]

    def convert(self, state: Mapping[str, Tensor]) -> Converted:
        result = Converted({}, {}, [])
        for name, value in state.items():
            reason = next((reason for pattern, reason in self.ignored if pattern.fullmatch(name)), None)
            if reason is not None:
                result.dropped[name] = reason
            elif not self._apply(name, value, state, result.state) and not self._is_part(name, state):
                result.unknown.append(name)
        return result

    def _apply(self, name: str, value: Tensor, state: Mapping[str, Tensor], converted: dict[str, Tensor]) -> bool:
        for pattern, source, target, function in self.rules:
            match = pattern.fullmatch(name)
            if not match:
                continue
            fields = match.groupdict()
            if isinstance(source, list):
                value = _join([_fill(part, fields) for part in source], state)
            if function is not None:
                try:
                    value = function(value)
                except (RuntimeError, ValueError, IndexError) as error:
                    raise ValueError(f"'{name}' has the impossible shape {tuple(value.shape)}") from error
            if isinstance(target, list):
                if not value.ndim or not len(value) or len(value) % len(target):
                    raise ValueError(f"'{name}' of the shape {tuple(value.shape)} cannot be split in {len(target)}")
                converted.update(zip((_fill(part, fields) for part in target), value.chunk(len(target))))
            else:
                converted[_fill(target, fields)] = value
            return True
        return False

    def _is_part(self, name: str, state: Mapping[str, Tensor]) -> bool:
        """Whether the name belongs to a tensor that is joined from several, of which the first one is there."""
        for pattern, first in self.parts:
            match = pattern.fullmatch(name)
            if match:
                first = _fill(first, match.groupdict())
                if first not in state:
                    raise ValueError(f"'{first}' is absent, which belongs to '{name}'")
                return True
        return False


def _join(names: list[str], state: Mapping[str, Tensor]) -> Tensor:
    for name in names:
        if name not in state:
            raise ValueError(f"'{name}' is absent, which belongs to '{names[0]}'")
    try:
        return torch.cat([state[name] for name in names])
    except RuntimeError as error:
        raise ValueError(f"'{names[0]}' and what belongs to it have shapes that do not fit each other") from error
