"""The pages as a site: ``pip install -r requirements/docs.txt``, then ``sphinx-build -W --keep-going docs site``.

Their order is that of the lists in index.md. A page links to ``../configs/...``, which the site does not have. Where
``REPOSITORY_URL`` is set, such as https://github.com/OWNER/NAME, the link leads there; without it, to a copy of the
file that the site carries. A link to what does not exist stays as it is, and is an error of the build.
"""

import os
import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

project = 'mask2former'
html_title = 'mask2former'
html_theme = 'furo'
extensions = ['myst_parser']
myst_heading_anchors = 4  # named as GitHub names them
repository_url = os.environ.get('REPOSITORY_URL')

_DOCS = Path(__file__).resolve().parent


def repository_link(text: str, target: str, repository: str | None) -> str:
    """A link of a page, in Markdown, as the site has it.

    Args:
        text: What is shown.
        target: An address, or a path that begins in the folder of the pages.
        repository: Its address on the web, or None.
    """
    parts = urlsplit(target)
    path = _DOCS / parts.path
    is_page = path.parent == _DOCS and path.suffix == '.md'
    if parts.scheme or not parts.path or is_page or not path.exists():
        return f'[{text}]({target})'
    if repository is None:
        return text if path.is_dir() else f'[{text}](path:{parts.path})'  # a copy, also of pages outside docs/
    kind = 'tree' if path.is_dir() else 'blob'
    inside = posixpath.normpath(posixpath.join('docs', parts.path))
    return f'[{text}]({repository.rstrip("/")}/{kind}/main/{inside})'


def tables_of_contents(index: str) -> str:
    """The sections of index.md for the navigation: a heading, and the pages that begin the items of its list."""
    result = []
    for section in index.split('\n## ')[1:]:
        pages = re.findall(r'^- \[[^\]]*\]\(([\w-]+)\.md\)', section, re.M)
        if pages:
            caption = section.splitlines()[0]
            result.append('\n'.join(['```{toctree}', ':hidden:', f':caption: {caption}', '', *pages, '```', '']))
    return '\n'.join(result)


def _read(app, name: str, source: list[str]) -> None:
    text, repository = source[0], app.config.repository_url
    text = re.sub(r'(?<!!)\[([^\]]*)\]\(([^)\s]+)\)', lambda link: repository_link(*link.groups(), repository), text)
    source[0] = f'{text}\n\n{tables_of_contents(text)}' if name == 'index' else text


def setup(app) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_config_value('repository_url', None, 'env')  # another one: every page is read again
    app.connect('source-read', _read)
    return dict(parallel_read_safe=True)
