"""Track in a video: python demo/video_demo.py INPUT CONFIG CHECKPOINT --out out.mp4 [--json F] [--tracking T] ..."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mask2former.apis.cli import run_tool
from mask2former.errors import UserError
from mask2former.formats.frame_source import FrameSource
from mask2former.formats.video_frames import FileFrames, open_frames
from mask2former.formats.video_writer import FrameWriter, open_writer
from mask2former.progress import ProgressBar

if TYPE_CHECKING:
    from mask2former.apis import TrackJson, VideoInferencer


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Find and track the objects of a video with a model of videos or of images. The video that is '
        'written can be played at any time, also after Ctrl-C.'
    )
    parser.add_argument(
        'video',
        help="video file, folder of frames, pattern ('frames/*.png'), address (rtsp://, http://), camera's number",
    )
    parser.add_argument('config', help='config file, or name of a published model')
    parser.add_argument('checkpoint', help='checkpoint of any format, address, or name of a published model')
    parser.add_argument('--out', metavar='V', help='write the frames with what was found: a file .mp4, or a folder')
    parser.add_argument('--json', metavar='F', help='write the tracks as COCO-video JSON')
    parser.add_argument('--device', help="such as 'cpu' or 'cuda:1'; default: the GPU if there is one")
    parser.add_argument(
        '--tracking',
        choices=['whole', 'windows', 'online'],
        default='online',
        help='see frame by frame, in windows of a few frames, or all frames together (default: %(default)s)',
    )
    parser.add_argument(
        '--task',
        choices=['panoptic', 'instance', 'semantic'],
        help='what to find; default: the first that the model can',
    )
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='instances with lower scores are left out (default: %(default)s); of panoptic segments the config decides',
    )
    parser.add_argument('--every', type=int, default=1, metavar='N', help='take one frame of N (default: all)')
    parser.add_argument('--max-side', type=int, metavar='P', help='reduce larger frames to this longest side')
    parser.add_argument('--fps', type=float, help='frames a second of a folder or pattern (default: 25)')
    args = parser.parse_args()
    if args.out is None and args.json is None:
        parser.error('nothing would be written: give --out, --json or both')
    return args


def check_output(video: str, out: str | None, json: str | None) -> None:
    """Refuse to write over the input, and what could not be written when everything is done."""
    inside = Path(video).parent if any(sign in video for sign in '*?[') else Path(video)
    for option, name in (('--out', out), ('--json', json)):
        if name is not None and Path(name).resolve() == inside.resolve():
            raise UserError(f"{option} '{name}' is the input: choose another name.")
    if json is None:
        return
    if out is not None and Path(json).resolve() == Path(out).resolve():
        raise UserError(f"--json '{json}' is --out, too: choose another name.")
    if Path(json).is_dir():
        raise UserError(f"--json '{json}' is a folder: give the name of a file.")
    folder = next(parent for parent in Path(json).absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise UserError(f"--json '{json}' cannot be written, as '{folder}' takes no files: choose another place.")


def open_output(out: str | None, source: FrameSource) -> FrameWriter | None:
    """What takes the frames, with the sound of a file."""
    if out is None:
        return None
    sound = source.path if isinstance(source, FileFrames) and '://' not in source.path else None
    return open_writer(out, source.fps / source.every, sound)


def track(inferencer: VideoInferencer, source: FrameSource, writer: FrameWriter | None, tracks: TrackJson) -> None:
    """Go through the video; of a whole one the results come when the model has seen all of it."""
    total = None if source.length is None else -(-source.length // source.every)
    bar_of = partial(ProgressBar, total=total, unit=' frames')
    with bar_of(desc='seen') if inferencer.tracker.whole else nullcontext() as seen, decoder_bar(inferencer):
        with closing(inferencer(source, seen=seen and seen.update)) as results:
            with bar_of(results, desc='written' if inferencer.tracker.whole else None) as bar:
                for result in bar:
                    if writer is not None:
                        writer.write(inferencer.draw(result), result.time)
                    tracks.add(result)


@contextmanager
def decoder_bar(inferencer: VideoInferencer) -> Iterator[None]:
    """Show the layers of the decoder while it goes through all frames of a whole video, which takes long, too."""
    from mask2former.models.video import VideoMask2Former

    model = inferencer.tracker.model
    if not (inferencer.tracker.whole and isinstance(model, VideoMask2Former)):
        yield
        return
    layers = model.head.layers
    with ExitStack() as stack:
        bar = stack.enter_context(ProgressBar(total=len(layers), unit=' layers', desc='decoder'))
        for layer in layers:
            stack.callback(layer.register_forward_hook(lambda *_: bar.update()).remove)
        yield


def report(source: FrameSource, writer: FrameWriter | None, tracks: TrackJson, args: argparse.Namespace) -> None:
    """Say what was done, and what was wrong."""
    if not tracks.images:
        return
    for note in source.notes:
        print(f'Note: {note}')
    if source.broken:
        print(f'{source.broken} frames could not be read and are left out.')
    found = len({annotation['instance_id'] for annotation in tracks.annotations})
    frames = len(tracks.images)
    print(f'{found} {"track" if found == 1 else "tracks"} in {frames} {"frame" if frames == 1 else "frames"}.')
    if writer is not None:
        print(f'The video is in {args.out} ({writer.what}).')
        for note in writer.notes:
            print(f'Note: {note}')
    if args.json is not None:
        tracks.write(args.json)
        print(f'The tracks are in {args.json}.')


def main() -> None:
    args = parse_args()
    check_output(args.video, args.out, args.json)
    source = open_frames(args.video, every=args.every, max_side=args.max_side, fps=args.fps)
    writer = open_output(args.out, source)
    from mask2former.apis import TrackJson, VideoInferencer

    inferencer = VideoInferencer(
        args.config,
        args.checkpoint,
        device=args.device,
        tracking=args.tracking,
        task=args.task,
        score_thr=args.score_thr,
    )
    tracks = TrackJson(inferencer.dataset_meta, source)
    try:
        track(inferencer, source, writer, tracks)
    finally:  # an error or Ctrl-C leaves what was done before
        if writer is not None:
            writer.close()
        report(source, writer, tracks, args)


if __name__ == '__main__':
    run_tool(main)
