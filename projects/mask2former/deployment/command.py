"""Write a trained model as a file for other runtimes, and prove it as good: mask2former export RUN [--verify]"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from mask2former.apis.cli import add_json_argument, words_aside
from mask2former.errors import UserError
from mask2former.formats.files import check_output, write_text

from .precision import PRECISIONS
from .runners import FORMATS, check_ending

if TYPE_CHECKING:
    from .preparation import Size
    from .verify import Verification

RUNTIME = 'mask2former_onnx.py'


def parse_size(text: str) -> Size:
    """(H, W) of '512x672' or of '512'; None of 'dynamic'.

    Raises:
        argparse.ArgumentTypeError: If it is none.
    """
    if text == 'dynamic':
        return None
    sides = text.lower().split('x')
    if not 1 <= len(sides) <= 2 or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"'{text}' is no size: write 512, 512x672 (height x width) or dynamic")
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
    result.add_argument(
        '--size',
        type=parse_size,
        default='dynamic',
        metavar='HxW',
        help='of the input: dynamic (the default) for images of any size, which are prepared as in a test, or one such '
        'as 512x672, into which they are scaled and padded',
    )
    result.add_argument('--out', type=Path, help='the file (default: model with the ending of the format)')
    result.add_argument(
        '--results',
        action='store_true',
        help='an ONNX file that takes a photograph (h, w, 3) uint8, scales it into --size (here 512x512, unless it is '
        'given) and gives panoptic, instance and semantic results at its own size, instead of logits',
    )
    result.add_argument(
        '--verify',
        action='store_true',
        help="measure the file on the config's test data, beside the model as the config tests it",
    )
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
    path = args.out or Path(f'model{FORMATS[args.format]}')
    check_ending(path, args.format)  # before the model is loaded
    check_output(path)
    if args.keep and args.precision != 'int8':
        raise UserError('--keep is for --precision int8.')
    if args.results and (args.format != 'onnx' or args.precision != 'fp32'):
        raise UserError('--results is for ONNX in fp32.')
    from mask2former.predictions import load

    from .calibration import calibration_images
    from .export import export
    from .export_results import export_results
    from .int8 import Calibration
    from .verify import verify, verify_results

    with words_aside(args.json):
        model = load(args.run, args.checkpoint, device='cpu').inferencer.model
        if args.results:
            size = args.size or (512, 512)
            difference = export_results(model, path, size)
            done = verify_results(model, path, args.images) if args.verify else None
        else:
            size, calibration = args.size, None
            if args.precision == 'int8':
                calibration = Calibration(list(calibration_images(model, size)), args.keep)
            difference = export(model, path, args.format, size, args.precision, calibration)
            done = verify(model, path, size, args.images) if args.verify else None
    found: dict = dict(file=str(path), size=size)
    if args.results:
        found['map_difference'] = difference
        said = [
            f"{path} is written; {100 * difference:.2g} % of the pixels of its maps of noise differ from the model's."
        ]
    else:
        found['logit_difference'] = difference
        said = [
            f"{path} is written; its logits differ from the model's by at most {difference:.1g} of the largest one."
        ]
    if args.format == 'onnx' and not args.results:
        runtime = path.parent / RUNTIME
        write_text(runtime, (Path(__file__).parent / RUNTIME).read_text(encoding='utf-8'))
        found['runtime'] = str(runtime)
    if done is not None:
        found |= {key: value for key, value in done._asdict().items() if value is not None}
        said += sentences(done, size)
    print(json.dumps(found) if args.json else '\n'.join(said))
    if done is not None and done.lost() > args.tolerance:
        raise UserError(
            f"'{path}' loses {done.lost():.2f} points, more than {args.tolerance:g}: "
            + ('--size dynamic pads as the model does' if size and not args.results else 'leave it')
            + ', or raise --tolerance.'
        )


def sentences(done: Verification, size: Size) -> list[str]:
    """What a verification says."""
    said = [f'{name:<10} model {ours:6.2f}   file {theirs:6.2f}' for name, (ours, theirs) in done.metrics.items()]
    said.append(f'On {done.images} images.')
    if done.difference is not None:
        said[-1] += f' Of the same input, logits differ by at most {done.difference:.1g} of the largest one.'
    if size and (costs := done.cost_of_size()):
        points = ', '.join(f'{name} {cost:.2f}' for name, cost in costs.items())
        said.append(f'The fixed size {size[0]}x{size[1]} alone costs, in points (negative: gains): {points}.')
    return said
