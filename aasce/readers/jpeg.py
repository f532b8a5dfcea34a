"""Damage inside a compressed film: decoders repair it in silence, and a bad sector becomes a shifted half of a film."""

from __future__ import annotations

PIXELS_DAMAGED = "pixels_damaged"
_RUN = 256  # bytes; half a sector
_SCAN = b"\xff\xda"


def has_damage(content: bytes) -> bool:
    """Whether libjpeg warns of a stream that it nevertheless decodes (ITU-T T.81 coding broken in the middle).

    A progressive film refines its details by bare bits, which are valid whatever stands there: in these scans a long
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
    return any(_is_of_details(scan) and has_gap(scan) for scan in content.split(_SCAN)[1:])


def _is_of_details(scan: bytes) -> bool:
    """Whether a scan, from its length on, codes no means of blocks: only those of a black border are runs of zeros."""
    spectrum = 3 + 2 * scan[2] if len(scan) > 2 else 0
    return 0 < spectrum < len(scan) and scan[spectrum] > 0


def has_gap(stream: bytes) -> bool:
    """Whether a stream of JPEG 2000, RLE or details of a JPEG holds zeros as a sector that could not be read leaves.

    None of these coders writes so many in a row.
    """
    return bytes(_RUN) in stream
