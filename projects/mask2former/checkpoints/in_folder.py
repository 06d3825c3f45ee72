"""The checkpoints that lie in the folder of a training, by their names alone."""

import re
from pathlib import Path

SUFFIX = '.dcp'  # of checkpoints that are folders
_NUMBERED = re.compile(r'(?:iter|epoch)_(\d+)\.(?:pth|dcp)')


def checkpoints_in(folder: str | Path) -> list[Path]:
    """The numbered checkpoints directly in a folder, the oldest first."""
    folder = Path(folder)
    found = [(path, _NUMBERED.fullmatch(path.name)) for path in (folder.iterdir() if folder.is_dir() else ())]
    numbers = {path: int(match[1]) for path, match in found if match}
    return sorted(numbers, key=lambda path: numbers[path])


def last_named(folder: Path) -> Path | None:
    """The path in the file ``last_checkpoint`` of a folder, if it has one that can be the path of a checkpoint."""
    try:
        text = (folder / 'last_checkpoint').read_text(encoding='utf-8').strip()
    except (OSError, ValueError):
        return None
    return Path(text) if text.isprintable() and text.endswith(('.pth', SUFFIX)) else None
