"""Fetches an image from an address that a visitor gives, from the public internet only.

The page stands where the visitor does not: inside a network, behind a firewall. So an address must not lead it to what
is there (server-side request forgery). Every connection, that of a redirect too, goes through :class:`_PublicOnly`,
which resolves the name, refuses it if any of its numbers is not public, and connects to a number that it has checked; a
name that resolves to something else a moment later changes nothing.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

import httpcore

from mask2former.errors import DataError

PORTS = dict(http=80, https=443)
REDIRECTS = 3
_FAILURES = httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.UnsupportedProtocol
_NAT64 = ipaddress.ip_network('64:ff9b::/96')  # the last 32 bits are an address of IPv4


def fetch(url: str, *, max_bytes: int, seconds: float) -> bytes:
    """The content at an address.

    Args:
        url: ``http://`` or ``https://``, of the port that is usual.
        max_bytes: Larger ones are refused.
        seconds: For all of it together.

    Raises:
        DataError: If the address is none, leads to a place that is not public, or gives no such content.
    """
    headers = [('User-Agent', 'mask2former'), ('Accept', 'image/*')]
    with httpcore.ConnectionPool(network_backend=_PublicOnly(seconds)) as pool:
        for _ in range(1 + REDIRECTS):
            url = _checked(url)
            try:
                with pool.stream('GET', url, headers=headers) as response:
                    if response.status in (301, 302, 303, 307, 308):
                        url = urljoin(url, _location(response.headers))
                        continue
                    if response.status != 200:
                        raise DataError(f'The address answers with {response.status} instead of an image.')
                    return _read(response.iter_stream(), max_bytes)
            except DataError:
                raise
            except (*_FAILURES, OSError, ValueError):
                raise DataError(
                    f'The address gives no answer within {seconds:g} s, or none that can be read.'
                ) from None
    raise DataError(f'The address leads on more than {REDIRECTS} times: give the one of the image itself.')


def public_addresses(host: str, port: int) -> list[str]:
    """The numbers of a host.

    Raises:
        DataError: If there are none, or one of them is not public.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DataError(f"There is no host '{host}': correct the address.") from None
    addresses = [str(entry[4][0]) for entry in found]
    if not all(is_public(address) for address in addresses):
        raise DataError(f"'{host}' is not on the public internet: give a public address, or upload the image.")
    return addresses


def is_public(address: str) -> bool:
    """Whether a number, of IPv4 or IPv6, is one of the public internet, also where it stands within another one."""
    try:
        number = ipaddress.ip_address(address.partition('%')[0])
    except ValueError:
        return False
    if isinstance(number, ipaddress.IPv6Address):
        within = [number.ipv4_mapped, number.sixtofour, *(number.teredo or ())]
        if number in _NAT64:
            within.append(ipaddress.IPv4Address(int(number) & 0xFFFFFFFF))
        if not all(is_public(str(inner)) for inner in within if inner is not None):
            return False
        number = number.ipv4_mapped or number  # ::ffff:8.8.8.8 is 8.8.8.8, which Python calls not global
    # Python calls site-local addresses of IPv6 global, as they are out of use.
    return number.is_global and not (
        number.is_multicast or number.is_reserved or getattr(number, 'is_site_local', False)
    )


def _checked(url: str) -> str:
    """An address in ASCII, without what is for browsers only."""
    try:
        parts = urlsplit(url.strip())
        host = (parts.hostname or '').encode('idna').decode('ascii')
        usual = parts.port in (None, PORTS.get(parts.scheme))
    except ValueError:
        host, usual = '', False
    if not host or parts.scheme not in PORTS:
        raise DataError('Give the whole address of an image, such as https://example.org/image.jpg.')
    if not usual or parts.username is not None:
        raise DataError('The address must have no port and no name of a user in it.')
    path, query = (quote(part, safe="/%:@!$&'()*+,;=~?-._") for part in (parts.path or '/', parts.query))
    return urlunsplit((parts.scheme, f'[{host}]' if ':' in host else host, path, query, ''))


def _read(chunks: Iterable[bytes], max_bytes: int) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > max_bytes:
            raise DataError(f'The file at the address has more than {max_bytes / 1e6:g} MB: upload a smaller one.')
    return bytes(content)


def _location(headers: Iterable[tuple[bytes, bytes]]) -> str:
    found = [value.decode('latin-1') for name, value in headers if name.lower() == b'location']
    return found[0] if found else ''


class _Stream(httpcore.NetworkStream):
    """A stream whose time is over at some point, however slowly its bytes come."""

    def __init__(self, stream: httpcore.NetworkStream, left: Callable[[], float]) -> None:
        self._stream, self._left = stream, left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, self._left()), self._left)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)


class _PublicOnly(httpcore.NetworkBackend):
    """Resolves a name, checks what it finds, and connects to what it has checked."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable | None = None,
    ) -> httpcore.NetworkStream:
        address = public_addresses(host, port)[0]
        stream = httpcore.SyncBackend().connect_tcp(address, port, self._left(), local_address, socket_options)
        return _Stream(stream, self._left)

    def _left(self) -> float:
        left = self._until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout('the time is over')
        return left
