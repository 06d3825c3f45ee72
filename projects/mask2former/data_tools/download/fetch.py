"""Downloads large files: resumes where it was cut off, and says whether what came is what it should be.

pooch, torch.hub and urlretrieve download all of it again, which will not do for 19 GB; this asks for the rest by HTTP's
Range.
"""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from mask2former.errors import DataError
from mask2former.progress import ProgressBar

from .releases import RemoteFile
from .unpack import check_archive, need_space, readable

CHUNK = 1 << 20
TRIES = 5  # without a new byte
TIMEOUT = 60  # seconds without a byte
AGENT = 'mask2former'


def fetch(file: RemoteFile, folder: str | Path, wait: float = 2.0) -> Path:
    """Download a file unless it is there, and check it.

    Beside it, ``NAME.sha256`` records what came, in the form of ``sha256sum``; a later run compares with it. What was
    cut off is in ``NAME.part``, and the next run asks for the rest.

    Args:
        file: What to download.
        folder: Where to; it is made.
        wait: Seconds before another try, doubled each time that none brings a byte.

    Returns:
        The file.

    Raises:
        DataError: If it cannot be downloaded, or is not what it should be; the message says which.
    """
    path = Path(folder) / file.name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file():
        part = path.with_name(f'{path.name}.part')
        tries, most = 0, _size(part)
        while reason := _download_rest(file, part):
            tries, most = 0 if _size(part) > most else tries + 1, max(most, _size(part))
            if tries == TRIES:
                raise DataError(
                    f"The download of '{file.url}' broke off at {readable(_size(part))} ({reason}); run "
                    'this again, it resumes there.'
                )
            time.sleep(wait * 2**tries)
        part.replace(path)
        _validator(part).unlink(missing_ok=True)
    _verify(path, file)
    return path


def _download_rest(file: RemoteFile, part: Path) -> str:
    """Download what ``part`` lacks.

    Returns:
        Why it broke off where a further try may help, else empty.
    """
    begin = _size(part)
    if begin and begin == file.size:
        return ''
    headers = {'User-Agent': AGENT}
    if begin:
        headers['Range'] = f'bytes={begin}-'
        if _validator(part).is_file():  # if the file has changed on the server, it sends all of it
            headers['If-Range'] = _validator(part).read_text()
    try:
        with urllib.request.urlopen(urllib.request.Request(file.url, headers=headers), timeout=TIMEOUT) as response:
            return _receive(response, file, part, begin)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left, or the part is of another file
            if error.headers.get('Content-Range', '').rpartition('/')[2] == str(begin):
                return ''
            part.unlink()
            return 'what was there did not fit'
        if error.code < 500 and error.code != 429:
            raise DataError(
                f"'{file.url}' cannot be downloaded ({error.code} {error.reason}); look for its present "
                f"address and download it to '{part.with_suffix('')}' yourself."
            ) from None
        return f'{error.code} {error.reason}'
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        if isinstance(error, OSError) and error.errno == 28:
            raise DataError(f"The disk of '{part}' is full; free some space and run this again.") from None
        return str(error.reason if isinstance(error, urllib.error.URLError) else error) or type(error).__name__


def _receive(response: http.client.HTTPResponse, file: RemoteFile, part: Path, begin: int) -> str:
    if response.status != 206 or not response.headers.get('Content-Range', '').startswith(f'bytes {begin}-'):
        begin = 0  # the server sends all of it
    length = response.headers.get('Content-Length')
    total = begin + int(length) if length else None
    if file.size and total and total != file.size:
        raise DataError(
            f"'{file.url}' has {total} bytes, but {file.size} are published: it is another file now; see "
            'the homepage of the data set.'
        )
    if total:
        need_space(part.parent, total - begin, f"'{file.name}'")
    validator = response.headers.get('ETag', '')
    if not validator.startswith('"'):  # a weak one does not vouch for every byte
        validator = response.headers.get('Last-Modified', '')
    if validator:
        _validator(part).write_text(validator)
    with (
        part.open('ab' if begin else 'wb') as out,
        ProgressBar(desc=file.name, initial=begin, total=total, unit='B', unit_scale=True) as bar,
    ):
        while chunk := response.read(CHUNK):
            out.write(chunk)
            bar.update(len(chunk))
    missing = total is not None and _size(part) < total
    return 'the server closed the connection' if missing else ''


def _verify(path: Path, file: RemoteFile) -> None:
    """Compare with what is published; else with what came first; else see that the archive is whole."""
    kind, _, published = (file.digest or 'sha256:').partition(':')
    found = _digests(path, {'sha256', kind})
    record = path.with_name(f'{path.name}.sha256')
    former = record.read_text().split()[0] if record.is_file() else None
    if published:
        if found[kind] != published:
            path.unlink()
            raise DataError(
                f"'{path}' had the {kind} {found[kind]}, but {published} is published; it was deleted: run this again."
            )
    elif former:
        if former != found['sha256']:
            raise DataError(
                f"'{path}' has the sha256 {found['sha256']}, but '{record}' says {former}; delete the file "
                'to download it again, or the record if the data set has changed.'
            )
    else:
        check_archive(path)
    record.write_text(f'{found["sha256"]}  {path.name}\n')


def _digests(path: Path, kinds: set[str]) -> dict[str, str]:
    hashes = {kind: hashlib.new(kind) for kind in kinds}
    with (
        path.open('rb') as content,
        ProgressBar(desc=f'checking {path.name}', total=_size(path), unit='B', unit_scale=True) as bar,
    ):
        while chunk := content.read(CHUNK):
            for digest in hashes.values():
                digest.update(chunk)
            bar.update(len(chunk))
    return {kind: digest.hexdigest() for kind, digest in hashes.items()}


def _validator(part: Path) -> Path:
    """Where the mark of the server's version is kept."""
    return part.with_name(f'{part.name}.version')


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
