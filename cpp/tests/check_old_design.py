#!/usr/bin/env python3
"""Checks that the old design's trace is damaged as the field logs are: the first two or four values of every record are
the allocator's, the rest is what the program computed."""

import json
import math
import re
import sys


def python_json(line):
    """What C's %f prints of a heap word that happens to be no number, as Python's json spells it."""
    return re.sub(r"-?nan\b", "NaN", re.sub(r"\binf\b", "Infinity", line))


records = [json.loads(python_json(line)) for line in open(sys.argv[1], encoding="utf-8")]
assert len(records) == 14, f"{len(records)} records"
damaged = set()
for record in records:
    expected = [4 * math.sin(0.7 * (i + 1) + 1.3 * record["token_idx"]) + 2 for i in range(10)]
    right = [abs(value - good) < 2e-5 for value, good in zip(record["values"], expected)]
    assert not right[0] and not right[1], f"token {record['token_idx']}: the first two values survived"
    assert all(right[4:]), f"token {record['token_idx']}: more than the first four values are damaged"
    damaged.add(right.index(True))
assert damaged <= {2, 3, 4}, damaged
print(f"14 records, first intact value at {sorted(damaged)}")
