"""Looks at what a browser, or a program, sends, before Gradio does."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

LARGEST = 4_000_000  # bytes of a request that is no upload

Receive = Callable[[], Awaitable[Mapping]]
Send = Callable[[Mapping], Awaitable[None]]


class Guard:
    """ASGI middleware that refuses what the page never sends: large requests that are no uploads, and addresses in the
    place of uploaded files, which Gradio would fetch, however large they are (:mod:`.fetch` alone shall).

    Args:
        app: What answers the others.
    """

    def __init__(self, app: Callable) -> None:
        self.app = app

    async def __call__(self, scope: Mapping, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope['type'] != 'http' or scope['method'] in ('GET', 'HEAD') or scope['path'].endswith('/upload'):
            await self.app(scope, receive, send)
            return
        body, more = b'', True
        while more:
            message = await receive()
            if message['type'] != 'http.request':
                return
            body += message.get('body', b'')
            more = message.get('more_body', False)
            if len(body) > LARGEST:
                await _refuse(send, 413, 'The request is too large.')
                return
        if names_address(body):
            await _refuse(send, 400, 'Upload the file itself, not its address.')
            return
        given = False

        async def again() -> Mapping:
            nonlocal given
            if given:
                return await receive()
            given = True
            return dict(type='http.request', body=body, more_body=False)

        await self.app(scope, again, send)


def names_address(body: bytes) -> bool:
    """Whether a JSON text has a file, a ``path`` in an object, that is an address."""
    try:
        rest: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        return False
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            if '://' in str(value.get('path')):
                return True
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)
    return False


async def _refuse(send: Send, status: int, why: str) -> None:
    headers = [(b'content-type', b'application/json')]
    await send(dict(type='http.response.start', status=status, headers=headers))
    await send(dict(type='http.response.body', body=json.dumps(dict(detail=why)).encode()))
