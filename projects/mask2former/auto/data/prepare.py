"""Makes a data set that can be trained on of what was recognised."""

from pathlib import Path

from mask2former.errors import ConfigError, DataError, near_names

from .found import TASKS, Found, Prepared
from .splits import choose
from .write import write_entries


def prepare(
    found: Found, out: Path, *, task: str = 'auto', val_share: float = 0.2, seed: int = 0, jobs: int = 1
) -> Prepared:
    """Divide the images and write what the task needs beyond the files that are there.

    Images stay where they are, and so do annotations that need no conversion. A run that was interrupted goes on.

    Args:
        found: What :func:`recognise` found.
        out: The folder to write; it may not lie in the one that is read.
        task: 'panoptic', 'instance' or 'semantic'; 'auto' is what the annotations are made for.
        val_share: Share of the images that validate, where the data is not divided already.
        seed: Other seeds choose other images.
        jobs: Processes.

    Raises:
        ConfigError: If the task is unknown, or cannot be learned from these annotations.
        MissingFileError: If a file is absent.
        DataError: If a file is not as it must be; the message names it and says what to do.
    """
    out = Path(out)
    if task not in ('auto', *TASKS):
        raise ConfigError(f"There is no task '{task}'; {near_names(task, ('auto', *TASKS))}")
    if task == 'auto':
        task = found.task
        reason = f'Task: {task}, which annotations of the format {found.kind} are made for.'
    elif task not in found.tasks:
        raise ConfigError(
            f"{found.kind} in '{found.root}' cannot be learned as {task} data, but as {' or '.join(found.tasks)}."
        )
    else:
        reason = f'Task: {task}, as asked for.'
    if found.root.resolve() in (out.resolve(), *out.resolve().parents):
        raise DataError(f"The folder to write, '{out}', lies in '{found.root}', which is read; choose another.")
    train, val, split = choose(found, val_share, seed)
    if found.look is not None:
        found = found.look(found, train if val is train else [*train, *val], jobs)
    if not found.classes:
        raise DataError(f"{found.kind} in '{found.root}' have no class: everything is void; annotate something.")
    says = [found.says, *found.notes, reason, split]
    configs = []
    if found.direct is not None:
        for name, entries in (('train', train), ('val', val)):
            config = found.direct(task, name, entries, out)
            if config is not None:
                configs.append(config)
    if len(configs) < 2:
        written = write_entries(found, train, val, out, task, jobs)
        configs = [written.train, written.val]
        says += written.says
    return Prepared(task, configs[0], configs[1], tuple(says))
