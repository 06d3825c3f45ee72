"""See what the model is fed after augmentation: python tools/analysis_tools/browse_dataset.py CONFIG [--split train]"""

from pathlib import Path

from mask2former.apis.cli import config_parser, run_tool
from mask2former.data_tools.arguments import positive
from mask2former.errors import DataError
from mask2former.formats.files import check_output


def main() -> None:
    parser = config_parser('Write what the model is fed, after augmentation, as pictures.')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='which dataloader')
    parser.add_argument('--num', type=positive, default=20, help='number of images or clips')
    parser.add_argument('--start', type=int, default=0, help='first image')
    parser.add_argument('--repeat', type=positive, default=1, help='pictures of each image, each augmented differently')
    parser.add_argument('--out-dir', metavar='D', default='browse', help='folder of the pictures')
    parser.add_argument('--seed', type=int, default=0, help='seed of the augmentation')
    parser.add_argument(
        '--bands',
        type=int,
        nargs='+',
        metavar='N',
        help='of images of many bands, the three that are red, green and blue, or one, from 0; by default '
        'visualizer.bands of the config, or the first',
    )
    args = parser.parse_args()
    check_output(args.out_dir, is_folder=True)
    from mmengine.registry import init_default_scope
    from mmengine.runner import set_random_seed

    from mask2former.apis.run_config import load_config
    from mask2former.formats.bands import in_file_order
    from mask2former.formats.images import write_image
    from mask2former.models.data_preprocessor import form_masks
    from mask2former.registry import DATASETS
    from mask2former.visualization import SegLocalVisualizer

    cfg = load_config(args)
    init_default_scope(cfg.get('default_scope', 'mask2former'))
    loader = cfg.get(f'{args.split}_dataloader')
    if not loader:
        raise DataError(f'{args.config} has no {args.split}_dataloader: choose another --split.')
    dataset = DATASETS.build(loader.dataset)
    if not 0 <= args.start < len(dataset):
        raise DataError(f'--start is {args.start}, but the {args.split} set has {len(dataset)} images.')
    bands = args.bands or cfg.get('visualizer', {}).get('bands')
    visualizer = SegLocalVisualizer(name='browse_dataset', bands=bands)
    visualizer.dataset_meta = dataset.metainfo
    set_random_seed(args.seed)
    count = 0
    for index in range(args.start, min(args.start + args.num, len(dataset))):
        for turn in range(args.repeat):
            packed = dataset[index]
            sample = packed['data_samples']
            turn_name = f'_{turn}' if args.repeat > 1 else ''
            count += 1
            if packed['inputs'].ndim == 4:  # a clip
                frames = in_file_order(packed['inputs'].numpy().transpose(0, 2, 3, 1))  # (T, N, H, W) -> (T, H, W, N)
                strip = visualizer.draw_clip(frames, sample)
                path = Path(args.out_dir) / f'{index:06d}_{Path(sample.img_paths[0]).parent.name}{turn_name}.jpg'
                write_image(path, strip[..., ::-1])
                continue
            if 'gt_seg_map' in sample:
                form_masks(sample)
            image = in_file_order(packed['inputs'].numpy().transpose(1, 2, 0))  # (N, H, W) -> (H, W, N)
            # That of a test has the original size: it is drawn only where the image was not resized.
            if 'gt_panoptic_seg' in sample and sample.gt_panoptic_seg.shape != image.shape[:2]:
                del sample.gt_panoptic_seg
            name = f'{index:06d}_{Path(sample.img_path).stem}{turn_name}'
            visualizer.add_datasample(name, image, sample, out_file=str(Path(args.out_dir) / f'{name}.jpg'))
    print(f'{count} pictures are in {args.out_dir}.')


if __name__ == '__main__':
    run_tool(main)
