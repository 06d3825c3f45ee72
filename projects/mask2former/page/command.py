"""Show a model in the browser: mask2former demo RUN | CHECKPOINT | CONFIG CHECKPOINT [--port N] [--examples DIR]"""

import argparse
import ipaddress
from pathlib import Path

from mask2former.errors import MissingPackageError


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: write a number of 1 .. 65535")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Of the command."""
    result = argparse.ArgumentParser(
        prog='mask2former demo',
        description='Show a trained model in the browser: images and videos, what it finds in them, and files of that '
        'for labelling tools. Only this computer can open the page, unless --host or --share say otherwise.',
    )
    result.add_argument('run', metavar='RUN', help='folder of a training, checkpoint in one, config, or published name')
    result.add_argument('checkpoint', nargs='?', help='default: the best one of the folder')
    result.add_argument('--device', help="such as 'cpu' or 'cuda'; default: the GPU if there is one")
    result.add_argument(
        '--examples',
        metavar='DIR',
        help='images to choose from; default: the first ones of the data set, if only this computer can open the page',
    )
    result.add_argument('--host', default='127.0.0.1', help='0.0.0.0 is for the whole network; default: %(default)s')
    result.add_argument('--port', type=_port, metavar='N', help='default: the first from 7860 on that is free')
    result.add_argument('--share', action='store_true', help="a public address for a week, through Gradio's servers")
    result.add_argument('--open', action='store_true', help='open it in the browser')
    return result


def is_private(host: str, share: bool) -> bool:
    """Whether only this computer can open the page."""
    if share:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == 'localhost'


def main() -> None:
    """Run the command."""
    args = parser().parse_args()
    try:
        import gradio  # noqa: F401
    except ImportError:
        raise MissingPackageError("The page is made with Gradio: pip install 'gradio>=6,<7'.") from None
    from mask2former.apis import list_images

    from .app import make_page, serve
    from .model import PageModel

    examples = [Path(path).resolve() for path in list_images(args.examples)] if args.examples else []
    model = PageModel(args.run, args.checkpoint, device=args.device)
    if not args.examples and is_private(args.host, args.share):
        examples = model.data_images()
    serve(make_page(model, examples=examples), host=args.host, port=args.port, share=args.share, browser=args.open)
