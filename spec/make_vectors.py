#!/usr/bin/env python3
"""Makes spec/vectors/ (the parts are in vector_making/): traces, what they decode to, and what writers must write.

Standard library only, and nothing from the loggers and readers that are tested with the result: types are
decoded bit by bit, decimal text is rounded with exact fractions, statistics and sketches follow the text of
trace-format.md one element at a time.
"""
import struct
import sys
from fractions import Fraction

from vector_making.content import OUT
from vector_making.elements import nearest_f32
from vector_making.reader_lines import dtypes, numbers, other_writers, shapes_and_places, six_field_records, unusual_lines
from vector_making.reader_tensors import run_file, summaries_and_payloads
from vector_making.summary import sign, sketch
from vector_making.writers import writers


def self_check():
    """The block-wise sketch against the definition by element, exactly."""
    elements = [Fraction(value) for value in range(-300, 323)]
    exact = [sum(sign(index, k) * value for index, value in enumerate(elements)) for k in range(16)]
    assert sketch([float(value) for value in elements]) == [float(value) for value in exact]
    assert nearest_f32("0.1") == struct.unpack("<f", struct.pack("<f", 0.1))[0]


def main():
    self_check()
    OUT.mkdir(exist_ok=True)
    for old in OUT.iterdir():
        if old.name != "README.md":
            old.unlink()
    six_field_records()
    dtypes()
    numbers()
    shapes_and_places()
    unusual_lines()
    other_writers()
    summaries_and_payloads()
    run_file()
    writers()
    print(f"{len(list(OUT.iterdir())) - 1} files in {OUT}", file=sys.stderr)


if __name__ == "__main__":
    main()
