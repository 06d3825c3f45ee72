"""Look inside a model: masks, attention and classes of its queries, layer by layer, as pictures and a page.

python tools/analysis_tools/explore_attention.py IMAGE RUN [--out-dir D] [--segments N | --query I ..]
python tools/analysis_tools/explore_attention.py IMAGE CONFIG CHECKPOINT [--pixel X Y]
"""

import argparse
from pathlib import Path

from mask2former.apis.cli import run_tool
from mask2former.data_tools.arguments import positive
from mask2former.formats.files import check_output, write_text
from mask2former.progress import ProgressBar


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('image', help='image file')
    parser.add_argument('run', help='folder of a training, config file, or name of a published model')
    parser.add_argument('checkpoint', nargs='?', help='weights; default: those of RUN')
    parser.add_argument('--out-dir', default='outputs/inside', help='where it goes (default: %(default)s)')
    which = parser.add_mutually_exclusive_group()
    which.add_argument('--segments', type=positive, default=6, metavar='N', help='the N surest segments (default: 6)')
    which.add_argument('--query', type=int, nargs='+', metavar='I', help='these queries, from 0')
    parser.add_argument(
        '--pixel',
        type=int,
        nargs=2,
        metavar=('X', 'Y'),
        help='of the image, whose samples in the pixel decoder are shown (default: the innermost one of each segment)',
    )
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1'; default: the GPU if there is one")
    args = parser.parse_args()
    check_output(args.out_dir, is_folder=True)
    from mask2former.analysis.inside import look_inside
    from mask2former.analysis.inside_page import inside_page
    from mask2former.analysis.query_strip import draw_heads, draw_strip
    from mask2former.analysis.samples_picture import draw_samples
    from mask2former.predictions import load

    inferencer = load(args.run, args.checkpoint, device=args.device).inferencer
    inside = look_inside(inferencer, args.image, args.query, args.segments, args.pixel)
    out, stem = Path(args.out_dir), Path(args.image).stem
    page = out / f'{stem}.html'
    write_text(page, inside_page(inside, Path(args.image).name))
    for query in ProgressBar(inside.queries, desc='pictures'):
        beginning = out / f'{stem}_query{query.view.query}'
        draw_strip(query.view, inside.photo, f'{beginning}_layers.png', 'object')
        draw_heads(query.view, inside.photo, f'{beginning}_heads.png')
        if query.samples:
            draw_samples(query.samples, query.pixel, inside.photo, f'{beginning}_samples.png')
    print(f'{page} shows all of it; beside it there are pictures of each query.')


if __name__ == '__main__':
    run_tool(main)
