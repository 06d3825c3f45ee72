"""What lies beside the weights of a model of the Hugging Face hub: its config and how it takes images."""

from pathlib import Path

from mask2former.errors import CheckpointError, MissingPackageError

from .fetch import first_process_first
from .read import read_json_object
from .zoo import HUB


def read_description(address: str, file: str) -> dict | None:
    """A JSON file of a model.

    Args:
        address: ``hf://owner/name``, whose file is fetched once; or a folder, or a file in one.
        file: Its name, ``config.json`` or ``preprocessor_config.json``.

    Returns:
        Its content; None if the model has no such file, or if only a folder could have it and the address is none.

    Raises:
        CheckpointError: If it cannot be fetched or read.
    """
    path: Path | None
    if address.startswith(HUB):
        path = first_process_first(lambda: _from_hub(address.removeprefix(HUB), file))
    elif '://' in address:
        return None
    else:
        folder = Path(address).expanduser()
        path = (folder if folder.is_dir() else folder.parent) / file
    if path is None or not path.is_file():
        return None
    return read_json_object(path)


def _from_hub(name: str, file: str) -> Path | None:
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ModuleNotFoundError:
        raise MissingPackageError(f"'{name}' is fetched with huggingface_hub: pip install huggingface_hub.") from None
    try:
        return Path(hf_hub_download(name, file))
    except Exception as error:  # many kinds, and none says what to do
        if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
            return None
        raise CheckpointError(
            f"{file} of '{name}' cannot be fetched from the Hugging Face hub ({type(error).__name__}): check the name "
            'and the network, or download its folder and give the path.'
        ) from error
