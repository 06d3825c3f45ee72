"""What became of every weight that was read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from .infer import Architecture
from .infer_eomt import EncoderOnlyArchitecture


@dataclass
class Report:
    """What became of every weight of a whole model.

    Attributes:
        source: Format that was read.
        architecture: What the weights tell.
        read: How many weights the file has.
        written: How many weights there are now.
        dropped: Weights of the source that are not used, with the reasons.
        made: Weights of the result that the source has not, with their origins.
    """

    source: str
    architecture: Architecture | EncoderOnlyArchitecture
    read: int
    written: int
    dropped: dict[str, str] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        heading = f'{self.source}: {self.architecture}; {self.read} weights read, {self.written} written'
        return _listed(heading, {'left out': self.dropped, 'added': self.made})


@dataclass
class BackboneReport:
    """What became of a backbone's weights.

    Attributes:
        kind: What was read.
        loaded: Weights that are used.
        dropped: Weights of the source that are not used, with the reasons.
        missing: Weights of the backbone that the source has not, with what happens to them.
    """

    kind: str
    loaded: int
    dropped: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        heading = f'{self.kind}: {self.loaded} weights'
        return _listed(heading, {'left out': self.dropped, 'not in it': self.missing})


def _listed(heading: str, reasons: Mapping[str, Mapping[str, str]]) -> str:
    """The heading and, for each title, a line a reason: how many names have it, and the first of them."""
    lines = [heading]
    for title, names in reasons.items():
        for reason in dict.fromkeys(names.values()):
            group = [name for name in names if names[name] == reason]
            lines.append(f"  {title}: {len(group):4}  '{group[0]}'{' ...' if len(group) > 1 else ''}: {reason}")
    return '\n'.join(lines)
