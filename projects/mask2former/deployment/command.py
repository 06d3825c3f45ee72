"""Write a trained model as a file for other runtimes, and prove it as good: mask2former export RUN [--verify]"""

import argparse
import json
from pathlib import Path

from mask2former.apis.cli import add_json_argument, words_aside
from mask2former.errors import UserError
from mask2former.formats.files import write_text
from mask2former.predictions import load

from .calibration import calibration_images
from .export import export
from .export_results import export_results
from .int8 import Calibration
from .precision import PRECISIONS
from .runners import FORMATS
from .verify import verify

RUNTIME = 'mask2former_onnx.py'


def parse_size(text: str) -> tuple[int, int]:
    """(H, W) of '512x672' or of '512'.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    sides = text.lower().split('x')
    if not 1 <= len(sides) <= 2 or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write 512 or 512x672 (height x width)")
    return int(sides[0]), int(sides[-1])


def parser() -> argparse.ArgumentParser:
    """Of the command."""
    result = argparse.ArgumentParser(
        prog='mask2former export',
        description='Write a trained model as a file for other runtimes. Its input are RGB images (B, 3, H, W) float32 '
        'from 0 to 255, of any batch size; its outputs are class and mask logits. Beside an ONNX file goes '
        f'{RUNTIME}, which makes results of them with numpy and onnxruntime alone.',
    )
    result.add_argument('run', help='folder of a training, config file, or name of a published model')
    result.add_argument('checkpoint', nargs='?', help='weights; default: those of RUN')
    result.add_argument('--format', choices=list(FORMATS), default='onnx', help='default: onnx')
    result.add_argument(
        '--precision',
        choices=sorted({one for some in PRECISIONS.values() for one in some}),
        default='fp32',
        help='default: fp32',
    )
    result.add_argument(
        '--keep',
        nargs='+',
        default=[],
        metavar='PART',
        help='parts of the model that stay in float32 with int8, such as backbone or pixel_decoder.mask_proj',
    )
    result.add_argument('--size', type=parse_size, default=(512, 512), metavar='HxW', help='default: 512x512')
    result.add_argument('--out', type=Path, help='the file (default: model with the ending of the format)')
    result.add_argument(
        '--results',
        action='store_true',
        help='an ONNX file that takes a photograph (h, w, 3) uint8 of any size and gives panoptic, instance and '
        'semantic results at its size, instead of logits',
    )
    result.add_argument('--verify', action='store_true', help="measure file and model on the config's test data")
    result.add_argument('--images', type=int, metavar='N', help='verify on the first N images (default: all)')
    result.add_argument(
        '--tolerance',
        type=float,
        default=0.1,
        metavar='T',
        help='points of PQ, AP or mIoU that may be lost (default: 0.1)',
    )
    add_json_argument(result)
    return result


def main() -> None:
    """Run the command.

    Raises:
        UserError: If the file loses more than the tolerance; it is there all the same.
    """
    args = parser().parse_args()
    ending = FORMATS[args.format]
    path = args.out or Path(f'model{ending}')
    if path.suffix != ending:
        raise UserError(f"--out '{path}' must end with {ending} for the format {args.format}.")
    if args.keep and args.precision != 'int8':
        raise UserError('--keep is for --precision int8.')
    if args.results and (args.format != 'onnx' or args.precision != 'fp32' or args.verify):
        raise UserError('--results is for ONNX in fp32, and without --verify, which compares logits.')
    if args.results:
        with words_aside(args.json):
            share = export_results(load(args.run, args.checkpoint, device='cpu').inferencer.model, path, args.size)
        sentence = f"{path} is written; of its maps of noise {100 * share:.2g} % of the pixels differ from the model's."
        print(json.dumps(dict(file=str(path), map_difference=share)) if args.json else sentence)
        return
    with words_aside(args.json):
        model = load(args.run, args.checkpoint, device='cpu').inferencer.model
        calibration = None
        if args.precision == 'int8':
            calibration = Calibration(list(calibration_images(model, args.size)), args.keep)
        error = export(model, path, args.format, args.size, args.precision, calibration)
        done = verify(model, path, args.size, args.images) if args.verify else None
    found: dict = dict(file=str(path), logit_difference=error)
    if args.format == 'onnx':
        runtime = path.parent / RUNTIME
        write_text(runtime, (Path(__file__).parent / RUNTIME).read_text(encoding='utf-8'))
        found['runtime'] = str(runtime)
    said = [f"{path} is written; its logits differ from the model's by at most {error:.1g} of the largest one."]
    if done is not None:
        found |= dict(metrics=done.metrics, images=done.images, logit_difference=max(error, done.difference))
        said += [f'{name:<10} model {ours:6.2f}   file {theirs:6.2f}' for name, (ours, theirs) in done.metrics.items()]
        said.append(f'On {done.images} images; logits differ by at most {done.difference:.1g} of the largest one.')
    print(json.dumps(found) if args.json else '\n'.join(said))
    if done is not None and done.lost() > args.tolerance:
        raise UserError(
            f"'{path}' loses {done.lost():.2f} points, more than {args.tolerance:g}: leave it, or raise --tolerance."
        )
