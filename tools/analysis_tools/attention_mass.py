"""Measure how much of the queries' attention lies in their objects, layer by layer.

python tools/analysis_tools/attention_mass.py CONFIG CHECKPOINT [--images N] [--json F.json]
python tools/analysis_tools/attention_mass.py CONFIG CHECKPOINT --strip F.png --image 3 --segment 0

The second form draws how one query finds its object, too. The config's validation data must have panoptic truth.
"""

import argparse
import json

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mask2former.apis.cli import config_parser, run_tool
from mask2former.data_tools.arguments import positive
from mask2former.errors import ConfigError
from mask2former.formats.files import check_output, write_text


def main() -> None:
    parser = config_parser(__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument('checkpoint', help='weights of the model')
    parser.add_argument('--images', type=positive, default=100, help='so many of the first images (default: 100)')
    parser.add_argument('--json', metavar='F.json', help='write the values to this file')
    parser.add_argument('--strip', metavar='F.png', help='draw the query of one segment, layer by layer')
    parser.add_argument('--image', type=int, default=0, help='image of --strip (default: 0)')
    parser.add_argument('--segment', type=int, default=0, help='segment of --strip, of those of the image (default: 0)')
    args = parser.parse_args()
    if args.json:
        check_output(args.json)
    import torch

    from mask2former.analysis.attention_mass import look_at, measure_mass, validation_data
    from mask2former.apis import init_model
    from mask2former.apis.run_config import load_config

    torch.manual_seed(0)  # the matcher draws points
    model = init_model(load_config(args), args.checkpoint)
    dataset = validation_data(model)
    console = Console()
    if args.strip:
        draw(model, dataset, args)
        console.print(f'{args.strip} is drawn.')
    indices = range(min(args.images, len(dataset)))
    looked = look_at(model, dataset, track(indices, 'images', console=console))
    layers = measure_mass(looked, model.isthing)
    console.print(make_table(layers))
    if args.json:
        write_text(args.json, json.dumps(dict(images=len(indices), layers=layers), indent=1) + '\n')


def draw(model, dataset, args: argparse.Namespace) -> None:
    """Draw the strip that the command line asks for.

    Raises:
        ConfigError: If there is no such image or segment.
    """
    from mask2former.analysis.attention_mass import look_at
    from mask2former.analysis.query_strip import draw_strip
    from mask2former.analysis.query_view import view_query

    if not 0 <= args.image < len(dataset):
        raise ConfigError(f'--image {args.image}: the validation data has images 0 to {len(dataset) - 1}.')
    (image,) = look_at(model, dataset, [args.image])
    if not 0 <= args.segment < len(image.queries):
        raise ConfigError(f'--segment {args.segment}: the image has segments 0 to {len(image.queries) - 1}.')
    size = (image.inputs.shape[2], image.inputs.shape[3])
    query, truth = int(image.queries[args.segment]), image.masks[args.segment]
    view = view_query(image.output, image.layers, 0, query, model.dataset_meta['classes'], size, truth)
    draw_strip(view, image.inputs[0].mean(0).cpu().numpy(), args.strip)


def make_table(layers: list[dict]) -> Table:
    """Shares of attention in the objects; in brackets, what evenly spread attention would have."""
    table = Table('layer', 'stride', 'all', 'things', 'stuff', title='share of attention in the object (if even)')
    for layer in layers:
        cells = [
            '-' if layer[kind]['inside'] is None else f'{layer[kind]["inside"]:.2f} ({layer[kind]["even"]:.2f})'
            for kind in ('all', 'things', 'stuff')
        ]
        table.add_row(str(layer['layer']), str(layer['stride'] or 'all'), *cells)
    return table


if __name__ == '__main__':
    run_tool(main)
