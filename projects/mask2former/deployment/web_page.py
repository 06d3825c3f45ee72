"""Write a page that runs an exported model in the browser: no server, nothing leaves the computer."""

import argparse
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from mask2former.errors import DataError, MissingFileError, MissingPackageError, UserError
from mask2former.formats.files import check_output, write_text
from mask2former.formats.html_page import in_base64, render

from .onnx_file import read_onnx_file

RUNTIME = 'onnxruntime-web'
RUNTIME_VERSION = '1.30.0'  # the one that the tests run
# Of the npm package: the module, with what loads the WebAssembly in it, and the WebAssembly for processors.
RUNTIME_FILES = dict(module='dist/ort.wasm.bundle.min.mjs', wasm='dist/ort-wasm-simd-threaded.wasm')
WEB = Path(__file__).parent / 'web'


def write_page(onnx: Path, folder: Path, runtime: dict[str, bytes], title: str) -> Path:
    """Write index.html, model.js and runtime.js.

    A page that is opened as a file may read no others but scripts, so that model and runtime are scripts that hold them
    in base64.

    Args:
        onnx: A file of ``mask2former export`` with panoptic results.
        folder: Where the page goes; it is made.
        runtime: Of :func:`installed_runtime` or :func:`fetch_runtime`.
        title: Heading of the page.

    Returns:
        Path: The page.

    Raises:
        DataError: If the file gives no logits or no panoptic results, or is none of ours.
        MissingFileError: If there is no such file.
    """
    file = read_onnx_file(onnx)
    if {value.name for value in file.outputs} != {'class_logits', 'mask_logits'}:
        raise DataError(f"'{onnx}' does not give logits, of which the page makes results itself: export it with them.")
    if not file.meta['panoptic']:
        raise DataError(f"'{onnx}' gives no panoptic results, which the page shows: export a panoptic model.")
    if file.meta['size'] is None:
        raise DataError(f"'{onnx}' takes images of any size, and the page is for one: export it with --size 320x320.")
    model = json.dumps(dict(meta=file.meta, bytes=in_base64(onnx.read_bytes())))
    write_text(folder / 'model.js', f'const MODEL = {model};\n')
    write_text(folder / 'runtime.js', f'const RUNTIME = {json.dumps({k: in_base64(v) for k, v in runtime.items()})};\n')
    worker = ''.join((WEB / name).read_text(encoding='utf-8') for name in ('segment.js', 'worker.js'))
    page = render(WEB / 'index.html', title=title, worker=worker, page=(WEB / 'page.js').read_text(encoding='utf-8'))
    write_text(folder / 'index.html', page)
    return folder / 'index.html'


def installed_runtime(package: Path) -> dict[str, bytes]:
    """Read the runtime's files.

    Args:
        package: The folder of the npm package, such as ``node_modules/onnxruntime-web``.

    Raises:
        MissingFileError: If it has not all of them.
    """
    for name in RUNTIME_FILES.values():
        if not (package / name).is_file():
            raise MissingFileError(
                f"'{package}' has no {name}: give the folder of the npm package {RUNTIME}, as in "
                f'node_modules/{RUNTIME}; version {RUNTIME_VERSION} has it.'
            )
    return {key: (package / name).read_bytes() for key, name in RUNTIME_FILES.items()}


def fetch_runtime() -> dict[str, bytes]:
    """Have npm fetch the package, 33 MB, and read the runtime's files.

    Raises:
        MissingPackageError: If there is no npm.
        UserError: If npm does not get it.
    """
    npm = shutil.which('npm')
    if npm is None:
        raise MissingPackageError(
            f'npm, which fetches {RUNTIME}, is not installed: install Node.js, or give the folder of the package '
            'by --runtime.'
        )
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, 'pack', f'{RUNTIME}@{RUNTIME_VERSION}', '--silent', '--pack-destination', folder]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        archives = list(Path(folder).glob('*.tgz'))
        if done.returncode or len(archives) != 1:
            reason = (done.stderr.strip() or done.stdout.strip() or 'it wrote nothing').splitlines()[-1]
            raise UserError(
                f'npm did not fetch {RUNTIME} {RUNTIME_VERSION} ({reason}): try again, or give the folder of the '
                'package by --runtime.'
            )
        with tarfile.open(archives[0]) as archive:
            files = {key: archive.extractfile(f'package/{name}') for key, name in RUNTIME_FILES.items()}
            return {key: file.read() for key, file in files.items() if file is not None}


def parser() -> argparse.ArgumentParser:
    """Of the command."""
    result = argparse.ArgumentParser(
        description='Write a folder with a page that runs an exported panoptic model in the browser, by '
        f'{RUNTIME}. Open its index.html: it needs no server and no network, and images stay on the computer.'
    )
    result.add_argument('onnx', type=Path, help='file of `mask2former export`')
    result.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder of the page; it is made')
    result.add_argument('--title', help="heading of the page; default: the file's name")
    result.add_argument(
        '--runtime',
        type=Path,
        metavar='DIR',
        help=f'the folder of the npm package {RUNTIME}; default: npm fetches version {RUNTIME_VERSION}',
    )
    return result


def main() -> None:
    """Run the command."""
    args = parser().parse_args()
    check_output(args.out, is_folder=True)
    read_onnx_file(args.onnx)  # what is wrong with it is said before anything is fetched
    if args.runtime is None:
        print(f'npm fetches {RUNTIME} {RUNTIME_VERSION} ...', flush=True)
    runtime = fetch_runtime() if args.runtime is None else installed_runtime(args.runtime)
    page = write_page(args.onnx, args.out, runtime, args.title or args.onnx.stem)
    size = sum(file.stat().st_size for file in (args.out / name for name in ('index.html', 'model.js', 'runtime.js')))
    print(f'Open {page} in a browser. The folder has {size / 1e6:.0f} MB, and needs nothing else.')
