"""Which arguments a class or a function takes by name, also where it hands ``**kwargs`` on to a parent."""

import ast
import functools
import inspect
import textwrap
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Arguments:
    """What may be given by name.

    Attributes:
        names: The arguments.
        required: Those without a default.
        anything: Whether others may be given, or it is unknown.
        others_of: Name and default of the argument that names the class to which all other arguments go, if there is
            one (``resize_type`` beside ``**resize_kwargs``).
        kinds: Of the arguments that can be numbers only, whether ``int``, ``float`` or ``bool``, or several of them.
    """

    names: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    anything: bool = False
    others_of: tuple[str, Any] | None = None
    kinds: Mapping[str, frozenset[type]] = field(default_factory=dict)


NUMBERS = {'bool': bool, 'int': int, 'float': float, 'Tensor': Tensor, 'None': type(None)}
ANYTHING = Arguments(anything=True)
NOTHING = Arguments()


@functools.cache
def arguments_of(target: Callable) -> Arguments:
    """The arguments of a class's constructor or of a function."""
    if inspect.isclass(target):
        return _of_constructor(target, target.__mro__, 0)
    try:
        return _split(inspect.signature(target), 0)[0]
    except (TypeError, ValueError):
        return ANYTHING


def _of_constructor(cls: type, order: tuple[type, ...], skipped: int) -> Arguments:
    """Arguments of the first constructor in ``order``, without its first ``skipped``, and those that it hands on."""
    owner = next(base for base in order if '__init__' in base.__dict__)
    if owner is object:
        return ANYTHING if cls.__new__ is not object.__new__ else NOTHING
    if owner is nn.Module:
        return NOTHING
    constructor = owner.__dict__['__init__']
    if hasattr(constructor, '__wrapped__'):  # a decorator may know other names
        return ANYTHING
    try:
        arguments, catch_all = _split(inspect.signature(constructor), 1 + skipped)
    except (TypeError, ValueError):
        return ANYTHING
    if catch_all is None or arguments.others_of is not None:
        return arguments
    handed_on = _find_parent_call(constructor, catch_all, owner, order)
    if handed_on is None:
        return arguments
    rest, positional, by_name, read = handed_on
    parents = _of_constructor(cls, rest, positional)
    return Arguments(
        names=arguments.names | read | (parents.names - by_name),
        required=arguments.required | (parents.required - by_name - read),
        anything=parents.anything,
        kinds={name: k for name, k in parents.kinds.items() if name not in arguments.names | by_name | read}
        | dict(arguments.kinds),
    )


def _split(signature: inspect.Signature, skipped: int) -> tuple[Arguments, str | None]:
    """The arguments after ``skipped`` ones, and the name of ``**kwargs`` if there are such."""
    parameters = list(signature.parameters.values())
    named = [p for p in parameters[skipped:] if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    catch_all = next((p.name for p in parameters if p.kind == p.VAR_KEYWORD), None)
    others_of = None
    if catch_all is not None and catch_all.endswith('_kwargs'):
        kind = signature.parameters.get(catch_all.removesuffix('kwargs') + 'type')
        others_of = None if kind is None else (kind.name, kind.default)
    arguments = Arguments(
        names=frozenset(p.name for p in named),
        required=frozenset(p.name for p in named if p.default is p.empty),
        anything=catch_all is not None,
        others_of=others_of,
        kinds={p.name: kinds for p in named if (kinds := _kinds_of_number(p))},
    )
    return arguments, catch_all


def _kinds_of_number(parameter: inspect.Parameter) -> frozenset[type]:
    """Which numbers an argument can be by its annotation; none where it can be anything else, or has no annotation."""
    annotation = parameter.annotation
    if isinstance(annotation, str):  # of a module with postponed annotations
        allowed = {NUMBERS.get(part.strip(), str) for part in annotation.split('|')}
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType):
        allowed = set(typing.get_args(annotation))
    else:
        allowed = {annotation}
    return frozenset(allowed & {bool, int, float}) if allowed <= set(NUMBERS.values()) else frozenset()


def _find_parent_call(
    constructor: Callable, catch_all: str, owner: type, order: tuple[type, ...]
) -> tuple[tuple[type, ...], int, frozenset[str], frozenset[str]] | None:
    """The one call of a parent's constructor that gets ``**kwargs``, if they are used for nothing else.

    Returns:
        The classes from that parent on; how many arguments it is given by position and which by name; and which are
        read from ``**kwargs`` before. None if it cannot be said.
    """
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(constructor)))
    except (OSError, TypeError, SyntaxError):
        return None
    calls, read, understood = [], set(), 0
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and any(_is_name(k.value, catch_all) for k in node.keywords if k.arg is None):
            calls.append(node)
            understood += 1
        key = _key_read(node, catch_all)
        if key is not None:
            read.add(key)
            understood += 1
    uses = sum(_is_name(node, catch_all) for node in ast.walk(tree))
    if len(calls) != 1 or understood != uses:
        return None
    call = calls[0]
    rest = _parents(call.func, constructor, owner, order)
    if rest is None or any(k.arg is None and not _is_name(k.value, catch_all) for k in call.keywords):
        return None
    positional = sum(not isinstance(argument, ast.Starred) for argument in call.args)
    by_name = frozenset(k.arg for k in call.keywords if k.arg is not None)
    return rest, positional, by_name, frozenset(read)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _key_read(node: ast.AST, catch_all: str) -> str | None:
    """The key, if ``node`` is ``kwargs.pop('key')``, ``kwargs.setdefault('key', ...)``, ``kwargs['key']`` or so."""
    key: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_name(node.func.value, catch_all):
        key = node.args[0] if node.args and node.func.attr in ('pop', 'get', 'setdefault') else None
    elif isinstance(node, ast.Subscript) and _is_name(node.value, catch_all):
        key = node.slice
    elif isinstance(node, ast.Compare) and len(node.comparators) == 1 and _is_name(node.comparators[0], catch_all):
        key = node.left
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def _parents(called: ast.AST, constructor: Callable, owner: type, order: tuple[type, ...]) -> tuple[type, ...] | None:
    """The classes that ``super().__init__`` or ``super(Class, self).__init__`` searches."""
    if not (isinstance(called, ast.Attribute) and called.attr == '__init__' and isinstance(called.value, ast.Call)):
        return None
    if not _is_name(called.value.func, 'super'):
        return None
    start: Any = owner
    if called.value.args:
        name = called.value.args[0]
        start = getattr(constructor, '__globals__', {}).get(name.id) if isinstance(name, ast.Name) else None
    return order[order.index(start) + 1 :] if start in order else None
