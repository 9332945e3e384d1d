"""holds.py REPORT CONDITION: whether a condition on a JSON report `r` holds."""

import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    r = json.load(file)
sys.exit(0 if eval(sys.argv[2]) else 1)
