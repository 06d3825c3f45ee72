"""XML files of people whom nobody needs to trust."""

from pathlib import Path
from xml.etree import ElementTree

from mask2former.errors import DataError


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file.

    Raises:
        DataError: If it is not valid, or declares a document type: entities can blow up a small file or read others.
    """
    content = path.read_bytes()
    if b'\0' in content or b'<!DOCTYPE' in content or b'<!ENTITY' in content:
        raise DataError(
            f"'{path}' declares a document type or is not UTF-8, which annotations need not; export it again."
        )
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter of an encoding that is unknown
        raise DataError(f"'{path}' is not valid XML ({error}); export it again.") from None


def root_tag(path: Path) -> str | None:
    """The name of the first element, from the beginning of the file; None where it has none."""
    with open(path, 'rb') as file:
        start = file.read(4096)
    for part in start.split(b'<')[1:]:
        if part[:1] not in (b'?', b'!', b'/'):
            return part.split(b'>')[0].split()[0].decode('utf-8', 'replace') if part.split(b'>')[0].split() else None
    return None
