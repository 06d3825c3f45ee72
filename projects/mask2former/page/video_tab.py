"""The tab of videos: tracks the objects of an uploaded one, and gives it back with them."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import gradio as gr

from mask2former.apis import TrackJson, VideoInferencer
from mask2former.errors import DataError
from mask2former.formats.video_frames import FileFrames
from mask2former.formats.video_writer import VideoFile

from .downloads import Download
from .limits import Limits, RateLimit
from .model import PageModel
from .parts import MODEL, QUICK, SAVE, in_sentences, takes_files, visitor
from .photo import plain_name

# FFmpeg's names of what is opened. Playlists and lists of files are not among them: they name other files.
CONTAINERS = ('mov', 'mp4', 'matroska', 'webm', 'avi', 'mpeg', 'mpegts')


class VideoTab:
    """Lays out the tab, within ``gr.Blocks``, and says what its events do.

    Args:
        model: The model.
        limits: Of what a visitor may ask for.
        rate: Counts the requests.
    """

    title = 'Video'

    def __init__(self, model: PageModel, limits: Limits, rate: RateLimit) -> None:
        self.model, self.limits, self.rate = model, limits, rate

    def build(self) -> None:
        """Make the components and connect them."""
        tracks = gr.State(None, time_to_live=3600)
        tasks, limits = self.model.tasks_of_videos, self.limits
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                video = takes_files(
                    gr.Video(label='Video', sources=['upload'], buttons=[], height=320, elem_id='m2f-video')
                )
                gr.Markdown(
                    f'Up to {limits.video_mb:g} MB; {limits.video_frames} frames are tracked at most, for '
                    f'{limits.video_seconds:g} s at most, reduced to {limits.video_side} pixels a side.',
                    elem_classes='m2f-note',
                )
                task = gr.Radio(list(tasks), value=tasks[0], label='Task')
                score = gr.Slider(
                    0, 1, 0.3, step=0.01, label='Least score of an instance', visible=tasks[0] == 'instance'
                )
                every = gr.Slider(1, 10, 1, step=1, label='One frame of so many is taken')
                run = gr.Button('Track', variant='primary', elem_id='m2f-track')
            with gr.Column(scale=3, min_width=320):
                result = gr.Video(label='Tracks', interactive=False, height=480, elem_id='m2f-tracks')
                facts = gr.Markdown(elem_classes='m2f-note')
                save = gr.Button('Tracks (COCO-video JSON)', size='sm', visible=False)
                file = gr.JSON(visible=False)
        run.click(in_sentences(self.track), [video, task, score, every], [result, facts, tracks, save], **MODEL)
        task.change(lambda task: gr.update(visible=task == 'instance'), [task], [score], **QUICK)
        save.click(self.save, [tracks], [file], **QUICK).success(None, [file], js=SAVE)

    def track(
        self,
        video: tuple[str, str] | None,
        task: str,
        score_thr: float,
        every: int,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (so that Gradio knows it)
    ) -> Iterator[tuple]:
        """Track in a video."""
        if video is None:
            raise DataError('Upload a video first.')
        self.rate.ask(visitor(request))
        path, name = video
        if Path(path).stat().st_size > self.limits.video_mb * 1e6:
            raise DataError(f'The video has more than {self.limits.video_mb:g} MB: give a smaller one.')
        try:
            source = FileFrames(path, containers=CONTAINERS)
        except DataError:
            raise DataError('This is no video that can be read: give an MP4, MOV, WebM, MKV or AVI file.') from None
        source.name, source.every, source.max_side = plain_name(name), int(every), self.limits.video_side
        with TemporaryDirectory() as folder:
            written = Path(folder) / f'{Path(source.name).stem}_{task}.mp4'
            with self.model.lock:
                facts, content = self._track(source, self.model.video_inferencer(task, score_thr), written, progress)
            tracks = Download(f'{written.stem}.json', 'application/json', content)
            yield str(written), facts, tracks, gr.update(visible=True)  # Gradio copies the file before it comes back

    def _track(
        self, source: FileFrames, inferencer: VideoInferencer, written: Path, progress: gr.Progress
    ) -> tuple[str, bytes]:
        """Write the video with what is found in it; returns what was done, and the tracks as JSON."""
        most = self.limits.video_frames
        length = min(most, -(-(source.length or most) // source.every))
        start, tracks, why = time.monotonic(), TrackJson(inferencer.dataset_meta, source), ''
        with VideoFile(written, source.fps / source.every) as writer, closing(inferencer(source)) as results:
            for count, found in enumerate(results, 1):
                writer.write(inferencer.draw(found), found.time)
                tracks.add(found)
                progress((count, length), unit='frames')
                if count == most:
                    why = ', as many as are tracked'
                elif time.monotonic() - start > self.limits.video_seconds:
                    why = ', when the time was over'
                if why:
                    break
        source.close()
        seconds = time.monotonic() - start
        facts = f'{count} frames{why} · {seconds:.1f} s, {count / seconds:.1f} frames a second'
        return facts, json.dumps(tracks.content(), separators=(',', ':')).encode()

    def save(self, tracks: Download | None) -> dict | None:
        """The tracks as a file for the browser."""
        return None if tracks is None else tracks.to_json()
