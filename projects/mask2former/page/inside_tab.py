"""The tab that shows what a model does inside: masks, attention and classes of its queries, layer by layer."""

import html

import gradio as gr

from mask2former.analysis.inside import look_inside
from mask2former.analysis.inside_page import inside_page

from .limits import Limits, RateLimit
from .parts import MODEL, in_sentences, takes_files, visitor
from .photo import read_upload
from .studio import Studio

EMPTY = '<p class="m2f-empty">Upload an image, and see, layer by layer, where the model looks for its segments.</p>'
SEGMENTS = 6


class InsideTab:
    """Lays out the tab, within ``gr.Blocks``, and says what its events do.

    Args:
        studio: The model.
        limits: Of what a visitor may ask for.
        rate: Counts the requests.
    """

    title = 'Inside the model'

    def __init__(self, studio: Studio, limits: Limits, rate: RateLimit) -> None:
        self.studio, self.limits, self.rate = studio, limits, rate

    def build(self) -> None:
        """Make the components and connect them."""
        photo = takes_files(
            gr.Image(
                label='Image',
                type='filepath',
                image_mode=None,
                sources=['upload', 'clipboard'],
                buttons=[],
                height=240,
                elem_id='m2f-inside-photo',
            )
        )
        view = gr.HTML(EMPTY, elem_id='m2f-inside')
        photo.change(in_sentences(self.look), [photo], [view], **MODEL)

    def look(self, photo: tuple[str, str] | None, request: gr.Request) -> str:
        """The page of an image, in a frame that can reach nothing around it.

        Raises:
            DataError: If it is no image, or too large.
            ConfigError: If nothing is found in it.
        """
        if photo is None:
            return EMPTY
        self.rate.ask(visitor(request))
        image = read_upload(photo, self.limits)
        with self.studio.lock:
            inside = look_inside(self.studio.predictor.inferencer, image.image, most=SEGMENTS)
        page = html.escape(inside_page(inside, photo[1]))
        style = 'width:100%;height:85vh;border:0'
        return f'<iframe title="{self.title}" sandbox="allow-scripts" srcdoc="{page}" style="{style}"></iframe>'
