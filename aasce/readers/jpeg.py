"""Damage inside a compressed film: decoders repair it in silence, and a bad sector becomes a shifted half of a film."""

from __future__ import annotations

PIXELS_DAMAGED = "pixels_damaged"
_RUN = 256  # bytes; half a sector
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xDA)))


def has_damage(content: bytes) -> bool:
    """Whether libjpeg warns of a stream that it nevertheless decodes (ITU-T T.81 coding broken in the middle).

    A progressive film holds passes of bare correction bits, which are valid whatever stands there: for these a long
    run of zeros counts too, as a sector that could not be read leaves.

    Args:
        content: one whole JPEG. What cannot be decoded at all is no matter of this function, nor is a JPEG of another
            kind than libjpeg reads (12 bit, lossless).
    """
    import simplejpeg

    try:
        simplejpeg.decode_jpeg(content, "GRAY", strict=True)
    except ValueError as error:
        return any(word in str(error) for word in ("Corrupt", "Premature", "Inconsistent"))
    scan = _first_scan(content)
    return scan is not None and scan[0] and has_gap(content[scan[1] :])


def has_gap(stream: bytes) -> bool:
    """Whether a stream of JPEG 2000, RLE or progressive JPEG holds zeros as a sector that could not be read leaves.

    None of these coders writes so many in a row; sequential JPEG may, for a black border.
    """
    return bytes(_RUN) in stream


def _first_scan(content: bytes) -> tuple[bool, int] | None:
    """Whether the JPEG is progressive, and where its first scan begins."""
    position, progressive = 2, False
    while position + 4 <= len(content) and content[position] == 0xFF:
        marker = content[position + 1]
        if marker == 0xDA:
            return progressive, position
        if marker == 0xFF or marker in _NO_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        progressive |= marker == 0xC2
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")
    return None
