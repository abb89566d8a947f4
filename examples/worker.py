"""A worker that parses what it does not trust: one document on standard input, a summary on standard output.

    python examples/worker.py json < document.json      (or: xml, png)

Everything is imported first; then the worker puts itself behind worker.policy, and only then reads. Whatever a
malicious document makes of the parser, it has memory and two pipes to do it with.
"""

import json
import struct
import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree

import sysgate


def summary_of_json(data: bytes) -> str:
    document = json.loads(data)
    return f"{type(document).__name__} of {len(document)}"


def summary_of_xml(data: bytes) -> str:
    root = ElementTree.fromstring(data)
    return f"<{root.tag}> with {len(list(root.iter())) - 1} elements inside"


def summary_of_png(data: bytes) -> str:
    """Width, height and mean byte of an unfiltered greyscale image."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("not a PNG")
    at, pixels, width, height = 8, b"", 0, 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height = struct.unpack(">II", body[:8])
        if kind == b"IDAT":
            pixels += body
        at += size + 12
    raw = zlib.decompress(pixels)
    return f"{width}×{height}, mean {sum(raw) // max(1, len(raw))}"


PARSERS = {"json": summary_of_json, "xml": summary_of_xml, "png": summary_of_png}

if __name__ == "__main__":
    parse = PARSERS[sys.argv[1]]
    parse_once = {"json": b"[]", "xml": b"<a/>", "png": b""}[sys.argv[1]]
    if parse_once:
        parse(parse_once)  # loads what the parser loads lazily
    sysgate.Policy.load(Path(__file__).with_name("worker.policy")).install()
    print(parse(sys.stdin.buffer.read()), flush=True)
