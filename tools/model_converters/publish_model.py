"""Make a checkpoint ready to be published: python tools/model_converters/publish_model.py SRC DST [--half]

Only the weights, the classes and the licence stay. The first eight digits of the SHA-256 of the file
are put into its name, as ``name-1a2b3c4d.pth``, which mmengine and torch.hub check when they download it.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from mask2former.apis.cli import run_tool
from mask2former.checkpoints.zoo import note_license
from mask2former.errors import CheckpointError
from mask2former.formats.files import check_output

if TYPE_CHECKING:
    import torch


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Keep the weights and the classes of a checkpoint, and put the hash of the file into its name.'
    )
    parser.add_argument('source', metavar='SRC', help='checkpoint of any format')
    parser.add_argument('target', metavar='DST', help='.pth or .safetensors; the hash is put before the ending')
    parser.add_argument('--half', action='store_true', help='save the weights in half precision')
    return parser.parse_args()


def halve(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Floating-point weights in half precision.

    Raises:
        CheckpointError: If a weight is too large for it.
    """
    halved = {}
    for name, value in state.items():
        halved[name] = value.half() if value.is_floating_point() else value
        if value.isfinite().all() and not halved[name].isfinite().all():
            raise CheckpointError(f"'{name}' has numbers that half precision cannot hold: publish without --half.")
    return halved


def file_hash(path: Path) -> str:
    """First eight digits of the SHA-256 of a file."""
    with open(path, 'rb') as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:8]


def main() -> None:
    args = parse_args()
    target = Path(args.target)
    if target.suffix not in ('.pth', '.safetensors'):
        raise CheckpointError(f"'{target}' must end in .pth or .safetensors.")
    check_output(target)
    import torch

    from mask2former.checkpoints.fetch import find_checkpoint
    from mask2former.checkpoints.schemes import read_any
    from mask2former.checkpoints.write import KEPT_META, write_safetensors

    content = read_any(find_checkpoint(args.source))
    state = halve(content['state_dict']) if args.half else content['state_dict']
    meta = {key: content['meta'][key] for key in KEPT_META if key in content['meta']}
    license = note_license(meta, args.source)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        part = Path(folder) / target.name
        if target.suffix == '.safetensors':
            write_safetensors(state, part, meta)
        else:
            torch.save(dict(meta=meta, state_dict=OrderedDict((k, v.clone()) for k, v in state.items())), part)
        final = part.replace(target.with_name(f'{target.stem}-{file_hash(part)}{target.suffix}'))
    print(license)
    print(f'Published as {final} ({final.stat().st_size / 2**20:.1f} MB).')


if __name__ == '__main__':
    run_tool(main)
