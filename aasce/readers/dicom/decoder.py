"""Program of the child process that decodes compressed pixels: native decoders may die of a damaged stream.

It imports nothing of the kit, so that it starts quickly. A request is a line of JSON with the keywords of the image
and `length`, then that many bytes of one compressed frame; an answer is a line of JSON with `error` or with `dtype`,
`shape`, `length` and `damaged`, then the pixels.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from typing import Any, BinaryIO

PREFERRED = ("pylibjpeg", "pillow", "pyjpegls", "pydicom", "gdcm")
"""Decoders that raise come before the one that may end the process."""
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
_JPEG_2000 = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
_MEMORY = 8 * 2**30  # bytes; a damaged header may ask for more than the machine has
_LIMITS = (
    "cannot decode",
    "not support",
    "only (0028",
    "Unable to decode unsigned",
    "Unable to decode signed",
)
_COMPLAINTS = (
    "Corrupt JPEG data",
    "Premature end of JPEG",
    "Inconsistent progression",
    "extraneous bytes",
    "bad Huffman",
)


def main() -> None:
    """Answers requests on standard input until it ends."""
    answers = os.fdopen(os.dup(1), "wb")
    with tempfile.TemporaryFile() as said:
        # Decoders written in C complain on standard error, some on standard output.
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        logging.disable(logging.CRITICAL)
        _bound_memory()
        requests = sys.stdin.buffer
        while line := requests.readline():
            request = json.loads(line)
            _answer(answers, request, requests.read(request.pop("length")), said)


def _bound_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, ValueError, OSError):  # Windows has none, and a lower limit may stand
        pass


def _answer(answers: BinaryIO, request: dict[str, Any], frame: bytes, said: Any) -> None:
    said.seek(0)
    said.truncate()
    pixels = b""
    try:
        array, refused = decode(frame, **request)
        pixels = array.tobytes()
        said.seek(0)
        complaints = said.read().decode("latin-1")
        damaged = refused or any(words in complaints for words in _COMPLAINTS)
        answer = {"dtype": array.dtype.str, "shape": array.shape, "length": len(pixels), "damaged": damaged}
    except Exception as error:  # each decoder has its own exceptions
        answer = {"error": _reason(error), "length": 0}
    answers.write(json.dumps(answer).encode() + b"\n" + pixels)
    answers.flush()


def _reason(error: Exception) -> str:
    """One line; of pydicom's list of failed decoders what the decoder itself said."""
    said = str(error).split("plugins:")[-1]
    return " ".join(said.split())[:160] or type(error).__name__


def decode(frame: bytes, syntax: str, options: dict[str, Any]) -> tuple[Any, bool]:
    """Pixels of one frame, (H, W) or (H, W, 3), and whether a decoder refused them.

    Another decoder is asked only for what the one before does not support: GDCM repairs in silence, or dies of, what
    the others refuse. JPEG 2000 is the exception, where Pillow refuses some whole streams too.

    Args:
        frame: the compressed stream.
        syntax: UID of the transfer syntax.
        options: keywords of `pydicom.pixels.decoders.base.Decoder.as_array`: rows, columns, bits_allocated, ...

    Raises:
        Exception: of the last decoder that was asked.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    if syntax == JPEG_EXTENDED and options["bits_stored"] > 8:
        return _extended(frame, options), False
    decoder: Any = get_decoder(syntax)
    failed: Exception = NotImplementedError("; ".join(decoder.missing_dependencies) or "no decoder")
    refused = False
    options = {**options, "number_of_frames": 1, "pixel_keyword": "PixelData"}
    for plugin in (name for name in PREFERRED if name in decoder.available_plugins):
        try:
            return decoder.as_array(encapsulate([frame]), decoding_plugin=plugin, **options)[0], refused
        except Exception as error:
            failed = error
            refused |= not any(words in str(error) for words in _LIMITS)
            if refused and syntax not in _JPEG_2000:
                break
    raise failed


def _extended(frame: bytes, options: dict[str, Any]) -> Any:
    """12-bit JPEG: GDCM decodes it, though pydicom does not ask it to."""
    import gdcm
    import numpy as np

    if options["samples_per_pixel"] != 1:
        raise NotImplementedError("12-bit colour")
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((options["columns"], options["rows"], 1))
    image.SetDataElement(element)
    kind = gdcm.PhotometricInterpretation.GetPIType(options["photometric_interpretation"])
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(JPEG_EXTENDED)))
    bits = options["bits_stored"]
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, bits, bits - 1, options["pixel_representation"]))
    text = image.GetBuffer()
    if text is None:
        raise ValueError("a broken stream")
    # GDCM hands bytes out as text.
    pixels = np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint16)
    pixels = pixels.view(np.int16) if options["pixel_representation"] else pixels
    return pixels.reshape(options["rows"], options["columns"])


if __name__ == "__main__":
    main()
