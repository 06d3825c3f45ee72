"""The page: its tabs, how it looks, and how it is served."""

import logging.config
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from mask2former.analysis.inside import can_look_inside
from mask2former.version import __version__

from .guard import Guard
from .image_tab import ImageTab
from .inside_tab import InsideTab
from .limits import Limits, RateLimit
from .model import PageModel
from .video_tab import VideoTab

CSS = """
.m2f-note p { margin: 0; font-size: var(--text-sm); color: var(--body-text-color-subdued); }
#m2f-view > .html-container, #m2f-head > .html-container { padding: 0; }
#m2f-head h1 { margin: 0 0 4px; font-size: 1.6em; font-weight: 600; }
#m2f-head p, #m2f-foot p { margin: 0; font-size: var(--text-sm); color: var(--body-text-color-subdued); }
#m2f-formats { gap: 8px; flex-wrap: wrap; }
footer { display: none !important; }
"""
# No fonts from elsewhere: the page works without a network, and tells nobody that it is looked at.
FONTS = dict(
    font=['system-ui', '-apple-system', 'Segoe UI', 'Roboto', 'sans-serif'],
    font_mono=['ui-monospace', 'Consolas', 'monospace'],
)


def make_page(model: PageModel, limits: Limits | None = None, examples: Sequence[Path] = ()) -> Any:
    """The page of a model, a ``gradio.Blocks``; :func:`serve` shows it.

    Args:
        model: The model.
        limits: Of what a visitor may ask for.
        examples: Files of images to choose from, which every visitor can see.
    """
    limits = limits or Limits()
    rate = RateLimit(limits.per_minute)
    tabs: list[Any] = []
    if model.studio is not None:
        tabs.append(ImageTab(model.studio, limits, rate, examples))
        if can_look_inside(model.model):
            tabs.append(InsideTab(model.studio, limits, rate))
    if model.tasks_of_videos:
        tabs.append(VideoTab(model, limits, rate))
    with gr.Blocks(title=f'{model.name} · mask2former', analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.HTML(model.describe(), elem_id='m2f-head')
        for tab in tabs:
            with gr.Tab(tab.title):
                tab.build()
        gr.Markdown(
            f'mask2former {__version__}. Images stay on the computer that runs this page, for an hour at most.',
            elem_id='m2f-foot',
        )
    page.queue(max_size=limits.waiting)
    page.limits = limits
    return page


def serve(
    page: Any,
    *,
    host: str = '127.0.0.1',
    port: int | None = None,
    share: bool = False,
    browser: bool = False,
    wait: bool = True,
) -> str:
    """Serve a page, until Ctrl-C.

    Args:
        page: Of :func:`make_page`.
        host: Who can see it: by default this computer alone, with ``'0.0.0.0'`` the network.
        port: Its port; by default the first from 7860 on that is free.
        share: Whether it also gets a public address for a week, through Gradio's servers.
        browser: Whether it is opened in the browser.
        wait: Whether this comes back only when the page is closed.

    Returns:
        str: The address.
    """
    limits = page.limits
    with _log_files_open():
        _, address, _ = page.launch(
            server_name=host,
            server_port=port,
            share=share,
            inbrowser=browser,
            prevent_thread_lock=True,
            quiet=True,
            show_error=False,
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            enable_monitoring=False,
            max_file_size=round(1e6 * max(limits.image_mb, limits.video_mb)),
            app_kwargs=dict(middleware=[Middleware(Guard)]),
            state_session_capacity=limits.visitors,
            theme=gr.themes.Default(primary_hue='indigo', neutral_hue='slate', **FONTS),
            css=CSS,
        )
    print(f'The page is at {address} (Ctrl-C ends it).', flush=True)
    if share:
        print(f'Everybody can reach it at {page.share_url}.', flush=True)
    if wait:
        page.block_thread()
    return address


@contextmanager
def _log_files_open() -> Iterator[None]:
    """Within it nobody sets up logging anew, as uvicorn does: that closes the log files of this process's trainings."""
    configure = logging.config.dictConfig
    logging.config.dictConfig = lambda config: None
    try:
        yield
    finally:
        logging.config.dictConfig = configure
