"""Checks what the device tests logged: check_cuda.py COMMAND TRACE [NUMBER]. The last line says what was found."""

import json
import math
import os
import struct
import sys
from array import array


def records(path):
    with open(path, encoding="utf-8") as trace:
        found = [json.loads(line) for line in trace]
    # All of these engines say that they end their passes: whenever a record was read, it says its step.
    without = [record for record in found if record["checkpoint"] not in ("host", "orch_log.dropped") and "step" not in record]
    if without:
        fail(f"{len(without)} of {len(found)} records say no step, the first `{without[0]['checkpoint']}` at {without[0]['token_idx']}")
    return found


def fail(message):
    print(message)
    sys.exit(1)


def as_f32(value):
    return struct.unpack("f", struct.pack("f", number(value)))[0]


def number(value):
    return float(value) if isinstance(value, str) else value


def close(a, b, allowed):
    """Equal, or no further apart than `allowed`; NaN is equal to NaN, overflow to overflow."""
    a, b = number(a), number(b)
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= allowed or (math.isinf(allowed) and not math.isnan(a))


def device_against_host(path):
    """Values, counts and extremes are equal; sums may be added in another order (spec/trace-format.md)."""
    pairs = {}
    for record in records(path):
        pairs.setdefault(record["token_idx"], {})[record["checkpoint"]] = record
    loosest, overflowing = 0.0, 0
    for at, pair in sorted(pairs.items()):
        if set(pair) != {"host", "device"}:
            fail(f"case {at} has only {sorted(pair)}")
        host, device = pair["host"], pair["device"]
        for field in ("dtype", "shape", "values"):
            if host[field] != device[field]:
                fail(f"case {at}: {field} is {device[field]}, the host says {host[field]} ({host['dtype']} {host['shape']})")
        a, b = host["stats"], device["stats"]
        for field in ("n", "nan", "inf", "zero", "min", "max"):
            if a[field] != b[field]:
                fail(f"case {at}: {field} is {b[field]}, the host says {a[field]} ({host['dtype']} {host['shape']})")
        finite = a["n"] - a["nan"] - a["inf"]
        rms = number(a["rms"])
        # mean |x| <= rms, so this is at least as strict as 2^-40 of the sum of magnitudes times sqrt(n) allows.
        scale = 0.0 if finite == 0 or math.isnan(rms) else rms * 2.0**-40
        if math.isinf(scale * max(finite, 1)) or math.isinf(scale):
            overflowing += 1  # sums beyond the range of an f64 depend on the order of addition altogether
            continue
        if not close(a["mean"], b["mean"], scale) or not close(a["rms"], b["rms"], scale):
            fail(f"case {at}: mean {b['mean']} rms {b['rms']}, the host says {a['mean']} {a['rms']} ({host['dtype']})")
        for k, (x, y) in enumerate(zip(host["sketch"]["s"], device["sketch"]["s"])):
            if not close(x, y, scale * max(finite, 1)):
                fail(f"case {at}: sketch {k} is {y}, the host says {x} ({host['dtype']} {host['shape']})")
            if finite and rms and math.isfinite(rms):
                loosest = max(loosest, abs(number(x) - number(y)) / (rms * finite))
    print(f"{len(pairs)} tensors equal, sketches to {loosest:.1e} of the sum of magnitudes (allowed 9.1e-13), {overflowing} overflow")


def payload_of(path, record):
    place = record.get("payload") or fail(f"no payload: {record['checkpoint']} at {record['token_idx']}")
    with open(os.path.join(os.path.dirname(path), place["file"]), "rb") as file:
        file.seek(place["offset"])
        return file.read(place["nbytes"])


def payloads_equal(path):
    """All elements that the device packed are those that the host wrote, in the same order."""
    pairs = {}
    for record in records(path):
        pairs.setdefault(record["token_idx"], {})[record["checkpoint"]] = payload_of(path, record)
    for at, pair in pairs.items():
        if pair["host"] != pair["device"]:
            fail(f"view {at}: the payloads differ")
    print(f"{len(pairs)} payloads equal")


def replayed(path, replays, full):
    """Each record says what its step and layer demand, in order, none torn and none missing."""
    checkpoints = 289
    expected = [(step, layer) for step in range(replays) for layer in range(checkpoints)]
    found = records(path)
    if len(found) != len(expected):
        fail(f"{len(found)} records, expected {len(expected)}")
    payloads = {}
    for (step, layer), record in zip(expected, found):
        if record["checkpoint"] != f"checkpoint_{layer}" or record["step"] != step or record["token_idx"] != step:
            fail(f"expected checkpoint_{layer} of step {step}, found {record['checkpoint']} of step {record['step']} at {record['token_idx']}")
        base = step % 8 * 1024 + layer
        if [as_f32(value) for value in record["values"]] != [base + i * 0.0009765625 for i in range(10)]:
            fail(f"step {step}, layer {layer}: {record['values']}")
        if as_f32(record["stats"]["min"]) != base or as_f32(record["stats"]["max"]) != base + 895 * 0.0009765625:
            fail(f"step {step}, layer {layer}: {record['stats']}")
        if full:
            # By step modulo 8 and layer there are few different tensors.
            if base not in payloads:
                payloads[base] = array("f", (base + i * 0.0009765625 for i in range(896))).tobytes()
            if payload_of(path, record) != payloads[base]:
                fail(f"step {step}, layer {layer}: the payload is another tensor's")
    print(f"{len(found)} records in order, none torn{', payloads right' if full else ''}")


def overflowed(path, expected):
    """What is there is right, what is missing is counted."""
    found = records(path)
    dropped = [record for record in found if record["checkpoint"] == "orch_log.dropped"]
    found = [record for record in found if record["checkpoint"] != "orch_log.dropped"]
    for record in found:
        layer = int(record["checkpoint"].rsplit("_", 1)[1])
        if record["values"][0] != record["step"] % 8 * 1024 + layer:
            fail(f"torn: {record}")
    if not dropped:
        fail(f"{len(found)} of {expected} records and nobody says that some were lost")
    lost = dropped[-1]["values"][0]
    if lost + len(found) != expected or lost == 0:
        fail(f"{len(found)} records, {lost} lost, expected {expected}")
    print(f"{len(found)} records right, {lost} counted as lost: {dropped[-1]['error']}")


def counted(path, name, count):
    found = [record for record in records(path) if record["checkpoint"] == name]
    if len(found) != count or [record["token_idx"] for record in found] != list(range(count)):
        fail(f"{len(found)} of {count} `{name}`")
    print(f"{count} records in order")


def parts(path, name, expected):
    """What is there is right and in order, what is missing is counted."""
    found = records(path)
    lost = [record["values"][0] for record in found if record["checkpoint"] == "orch_log.dropped"]
    found = [record for record in found if record["checkpoint"] == name]
    positions = [record["token_idx"] for record in found]
    if positions != sorted(set(positions)):
        fail("out of order, or twice")
    full_of_positions(path, found)
    if len(found) + (lost[-1] if lost else 0) != expected:
        fail(f"{len(found)} records, {lost[-1:]} lost, expected {expected}")
    print(f"{len(found)} records right, {lost[-1] if lost else 0} counted as lost")


def full_of_positions(path, found):
    """Each tensor holds nothing but its position."""
    for record in found:
        stats = record["stats"]
        if not stats["min"] == stats["max"] == stats["mean"] == record["values"][0] == record["token_idx"]:
            fail(f"position {record['token_idx']}: {stats}")
        if "payload" in record and set(array("f", payload_of(path, record))) != {record["token_idx"]}:
            fail(f"position {record['token_idx']}: another payload")


def whole(path, name, count):
    """As `counted`, with payloads where the trace is a full one."""
    counted(path, name, count)
    found = records(path)
    full_of_positions(path, found)
    payloads = sum("payload" in record for record in found)
    if payloads not in (0, count) or any(record["checkpoint"] == "orch_log.dropped" for record in found):
        fail(f"{payloads} payloads, {found[-1]}")
    print(f"{count} records in order, {payloads} payloads")


def crashed(path, count):
    counted(path, "before_the_crash", count)
    found = records(path)
    lost = [record for record in found if record["checkpoint"] == "orch_log.dropped"]
    if any(record["checkpoint"] == "after_the_crash" for record in found) or not lost or lost[-1]["values"] != [1, 0]:
        fail(f"what came after the crash: {found[count:]}")
    print(f"{count} records in order, 1 counted as lost: {lost[-1]['error']}")


def recovered(path, count):
    counted(path, "before_the_crash", count)
    found = records(path)
    lost = [record["values"] for record in found if record["checkpoint"] == "orch_log.dropped"]
    after = [record["token_idx"] for record in found if record["checkpoint"] == "after_the_reset"]
    if after not in ([], list(range(count))) or not lost or lost[-1] != [3, 0]:
        fail(f"{after}, lost {lost}")
    print(f"{count} records before the crash, {len(after)} after the reset, 3 counted as lost between them")


def streams(path):
    found = records(path)
    for t in range(4):
        own = [record for record in found if record["checkpoint"] == f"stream_{t}"]
        if [record["token_idx"] for record in own] != list(range(500)):
            fail(f"stream {t}: {len(own)} records, not 500 in order")
        for record in own:
            stats = record["stats"]
            if stats["min"] != t + 1 or stats["max"] != t + 1 or stats["mean"] != t + 1 or stats["n"] != 20000:
                fail(f"stream {t}: {stats}")
    print(f"{len(found)} records of 4 streams")


def huge(path):
    """One record, or a second one of the same elements from the end."""
    n = 2**32 + 12345
    counts = [n // 7 + (i < n % 7) for i in range(7)]
    mean = sum(i * c for i, c in enumerate(counts)) / n
    rms = math.sqrt(sum(i * i * c for i, c in enumerate(counts)) / n)
    found = records(path)
    for at, record in enumerate(found):
        stats = record["stats"]
        first = [i % 7 if at == 0 else (n - 1 - i) % 7 for i in range(10)]
        if stats["n"] != n or stats["zero"] != counts[0] or stats["min"] != 0 or stats["max"] != 6 or record["values"] != first:
            fail(f"{stats}, first {record['values']}")
        if not close(stats["mean"], mean, mean * 2.0**-40) or not close(stats["rms"], rms, rms * 2.0**-40):
            fail(f"{stats}, expected mean {mean} rms {rms}")
    if len(found) not in (1, 2):
        fail(f"{len(found)} records")
    print(f"{n} elements{', and from the end' if len(found) == 2 else ''}")


def main():
    command, path = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    if command in ("types", "strides"):
        device_against_host(path)
    elif command == "strides-full":
        device_against_host(path)
        payloads_equal(path)
    elif command == "replay":
        replayed(path, count, False)
    elif command == "replay-full":
        replayed(path, count, True)
    elif command == "overflow":
        overflowed(path, count)
    elif command == "streams":
        streams(path)
    elif command == "huge":
        huge(path)
    elif command == "in_flight":
        parts(path, command, count)
    elif command in ("reset", "recaptured"):
        whole(path, command, count)
    elif command == "recovered":
        recovered(path, count)
    elif command == "crashed":
        crashed(path, count)
    elif command == "contexts":
        counted(path, "first", count)
        counted(path, "second", count)
    else:
        counted(path, command, count)


main()
