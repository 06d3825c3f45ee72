"""The tab of images: a photo in, segments out, which can be pointed at, switched and saved."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import gradio as gr
from gradio import processing_utils

from .downloads import FORMATS, make
from .fetch import fetch
from .limits import Limits, RateLimit
from .parts import MODEL, QUICK, SAVE, in_sentences, takes_files, visitor
from .photo import plain_name, read_photo, read_upload
from .picture import HERE, show
from .studio import Found, Studio

EMPTY = '<p class="m2f-empty">The result comes here: upload an image, take a photo, or choose an example.</p>'
# In the browser: the ids of the segments that are switched off, into the fourth input.
WITH_OFF = """(...values) => {
  const boxes = document.querySelectorAll('#m2f-view tbody input:not(:checked)');
  values[3] = [...boxes].map((box) => Number(box.closest('tr').dataset.row));
  return values;
}"""
SET_OPACITY = "(value) => { document.documentElement.style.setProperty('--m2f-fill', value); }"


class ImageTab:
    """Lays out the tab, within ``gr.Blocks``, and says what its events do.

    Args:
        studio: The model.
        limits: Of what a visitor may ask for.
        rate: Counts the requests.
        examples: Files of images to choose from.
    """

    title = 'Image'

    def __init__(self, studio: Studio, limits: Limits, rate: RateLimit, examples: Sequence[Path]) -> None:
        self.studio, self.limits, self.rate, self.examples = studio, limits, rate, examples

    def build(self) -> None:
        """Make the components and connect them."""
        found = gr.State(None, time_to_live=3600)
        with gr.Row():
            with gr.Column(scale=2, min_width=320):
                photo = takes_files(
                    gr.Image(
                        label='Image',
                        type='filepath',
                        image_mode=None,
                        sources=['upload', 'webcam', 'clipboard'],
                        buttons=[],
                        height=320,
                        elem_id='m2f-photo',
                    )
                )
                with gr.Row(equal_height=True):
                    url = gr.Textbox(
                        show_label=False,
                        container=False,
                        placeholder='https://… address of an image',
                        scale=4,
                        max_lines=1,
                    )
                    fetch_button = gr.Button('Fetch', scale=1, min_width=80)
                if self.examples:
                    self._examples(photo)
                run = gr.Button('Segment', variant='primary', elem_id='m2f-run')
            with gr.Column(scale=3, min_width=320):
                tasks = list(self.studio.tasks)
                task = gr.Radio(tasks, value=tasks[0], label='Task', visible=len(tasks) > 1, elem_id='m2f-task')
                with gr.Accordion('Thresholds', open=False, visible=tasks[0] != 'semantic') as thresholds:
                    score, panoptic = self._sliders()
                view = gr.HTML(
                    EMPTY,
                    elem_id='m2f-view',
                    apply_default_css=False,
                    css_template=(HERE / 'picture.css').read_text(encoding='utf-8'),
                    js_on_load=(HERE / 'picture.js').read_text(encoding='utf-8'),
                )
                with gr.Column(visible=False) as below:
                    opacity = gr.Slider(0, 1, 0.55, step=0.05, label='Opacity')
                    gr.Markdown('Save what is switched on', elem_classes='m2f-note')
                    with gr.Row(elem_id='m2f-formats'):
                        buttons = {name: gr.Button(name, size='sm', min_width=110) for name in FORMATS}
                file = gr.JSON(visible=False)

        shown = [view, below, buttons['Map of ids (PNG)']]
        options = [task, score]
        find = dict(fn=in_sentences(self.find), inputs=[photo, *options, *panoptic], outputs=[found, *shown], **MODEL)
        photo.change(**find)
        run.click(**find)
        for slider in panoptic:
            slider.release(**find)
        again = dict(fn=in_sentences(self.show), inputs=[found, *options], outputs=shown, **QUICK)
        score.release(**again)
        task.change(**again)
        task.change(self._which_sliders, [task], [thresholds, score, *panoptic], **QUICK)
        opacity.input(None, [opacity], js=SET_OPACITY)
        for event in (url.submit, fetch_button.click):
            event(in_sentences(self.fetch), [url], [photo], **QUICK)  # an error shown on the photo would cover it
        off = gr.JSON(visible=False)
        for name, button in buttons.items():
            button.click(
                in_sentences(partial(self.save, name)), [found, *options, off, opacity], [file], js=WITH_OFF, **QUICK
            ).success(None, [file], js=SAVE)

    def _examples(self, photo: Any) -> None:
        """Thumbnails. Gradio's own ``Examples`` would change ``photo`` by ``gr.update``, see :func:`.takes_files`."""
        shown = gr.Dataset(
            label='Examples', components=[photo], samples=[[str(path)] for path in self.examples], type='index'
        )
        copies = [sample['path'] for (sample,) in shown.samples]  # where Gradio serves them from
        shown.click(lambda index: copies[index], [shown], [photo], **QUICK)

    def _sliders(self) -> tuple[Any, list[Any]]:
        """Of instances' scores; and the two of panoptic segments."""
        first = self.studio.tasks[0]
        score = gr.Slider(0, 1, 0.3, step=0.01, label='Least score of an instance', visible=first == 'instance')
        least, overlap = self.studio.thresholds
        seen = first == 'panoptic'
        return score, [
            gr.Slider(0, 1, least, step=0.01, label='Least score of a segment', visible=seen),
            gr.Slider(0, 1, overlap, step=0.01, label='Least share of its mask that is seen', visible=seen),
        ]

    def _which_sliders(self, task: str) -> list[Any]:
        accordion = gr.update(visible=task != 'semantic')
        return [accordion, gr.update(visible=task == 'instance'), *[gr.update(visible=task == 'panoptic')] * 2]

    def find(
        self,
        photo: tuple[str, str] | None,
        task: str,
        score_thr: float,
        least: float,
        overlap: float,
        request: gr.Request,
    ) -> tuple:
        """Run the model on a photo, and show what it found."""
        if photo is None:
            return None, *self.show(None, task, score_thr)
        self.rate.ask(visitor(request))
        found = self.studio.find(read_upload(photo, self.limits), (least, overlap))
        return found, *self.show(found, task, score_thr)

    def show(self, found: Found | None, task: str, score_thr: float) -> tuple:
        """Show what was found, of another task or with another threshold."""
        map_button = gr.update(visible=task != 'instance')
        if found is None:
            return EMPTY, gr.update(visible=False), map_button
        html = show(self.studio, found, task, found.of_task(task, score_thr))
        return html, gr.update(visible=True), map_button

    def fetch(self, url: str, request: gr.Request) -> str:
        """Get an image from an address."""
        self.rate.ask(visitor(request))
        limits = self.limits
        content = fetch(url, max_bytes=round(limits.image_mb * 1e6), seconds=limits.url_seconds)
        name = plain_name(unquote(PurePosixPath(urlsplit(url).path).name))
        read_photo(content, name, limits)
        return processing_utils.save_bytes_to_cache(content, name, cache_dir=gr.Image.GRADIO_CACHE)

    def save(
        self, format: str, found: Found | None, task: str, score_thr: float, off: list[int] | None, alpha: float
    ) -> dict | None:
        """A file for the browser."""
        if found is None:
            return None
        return make(format, self.studio, found, task, found.of_task(task, score_thr), off or [], alpha).to_json()
