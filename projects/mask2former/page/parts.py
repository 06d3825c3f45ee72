"""What the tabs of the page share: who asks, errors as sentences, files that come from the browser and go to it."""

import functools
import html
from collections.abc import Callable, Iterator
from inspect import isgeneratorfunction
from pathlib import Path
from typing import Any

import gradio as gr

from mask2former.errors import DataError, UserError

# Events cannot be called from elsewhere, and those that do not need the model do not wait for it.
QUICK = dict(api_visibility='private', show_progress='hidden', concurrency_limit=4)
MODEL = dict(api_visibility='private', concurrency_id='model', concurrency_limit=1)

# In the browser: hands over what `downloads.Download.to_json` gave, as a file.
SAVE = """(file) => {
  if (!file) return;
  const bytes = Uint8Array.from(atob(file.content), (sign) => sign.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], { type: file.type }));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}"""


def visitor(request: gr.Request) -> str:
    """Who asks, for counting."""
    return request.client.host if request.client else ''


def in_sentences(function: Callable) -> Callable:
    """A function of an event whose :class:`UserError` the visitor sees."""
    if isgeneratorfunction(function):

        @functools.wraps(function)
        def wrapped(*args: Any) -> Iterator:
            try:
                yield from function(*args)
            except UserError as error:
                raise _shown(error) from None
    else:

        @functools.wraps(function)
        def wrapped(*args: Any) -> Any:
            try:
                return function(*args)
            except UserError as error:
                raise _shown(error) from None

    return wrapped


def _shown(error: UserError) -> Exception:
    return gr.Error(html.escape(str(error), quote=False), title='', print_exception=False)


def takes_files(component: Any) -> Any:
    """A component of images or videos that gives the path of the uploaded file and its name, and opens nothing itself.

    Gradio has seen that the file lies in its folder of uploads; this looks again. An event must not change the
    component by ``gr.update``: for who sees that, Gradio makes it anew, without this.
    """
    folder = Path(component.GRADIO_CACHE).resolve()

    def preprocess(payload: Any) -> tuple[str, str] | None:
        if payload is None:
            return None
        path = Path(payload.path or '')
        if not path.resolve().is_relative_to(folder) or not path.is_file():
            raise _shown(DataError('The file is no longer there: upload it again.'))
        return str(path), payload.orig_name or path.name

    component.preprocess = preprocess
    return component
