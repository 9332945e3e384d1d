"""The report in a terminal of 80 columns: colours where they are wanted, no line too long, an end by Ctrl-C."""

import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
import fcntl
import termios

from make_traces import write_all

parity, out = os.path.abspath(sys.argv[1]), pathlib.Path(sys.argv[2])
ESCAPE = re.compile(rb"\x1b\[[0-9;]*m")
passed = 0


def check(what, condition, shown=""):
    global passed
    if not condition:
        sys.exit(f"FAILED: {what} {shown}")
    passed += 1


def start(arguments, **variables):
    """A process whose terminal has 80 columns, and our end of it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm-256color", "LANG": "C.UTF-8"} | variables
    process = subprocess.Popen([parity, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
                               preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
    os.close(theirs)
    return process, ours


def read_until(ours, done, seconds=60):
    seen, end = b"", time.monotonic() + seconds
    while not done(seen) and time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                seen += os.read(ours, 65536)
            except OSError:
                break
    return seen


def shown(arguments, **variables):
    process, ours = start(arguments, **variables)
    seen = read_until(ours, lambda _: False)
    os.close(ours)
    return process.wait(), seen


def screens(pairs):
    for name, pair in pairs.items():
        code, coloured = shown(["compare", *pair])
        check(f"{name}: the verdict is coloured", ESCAPE.search(coloured), coloured[:200])
        # The progress bar repaints its line; what is left of it is not the report.
        text = ESCAPE.sub(b"", coloured).replace(b"\r\n", b"\n").split(b"\x1b[2K")[-1].split(b"\r")[-1].decode()
        (out / f"{name}.txt").write_text(text)
        lines = text.rstrip("\n").split("\n")
        check(f"{name}: one screen", len(lines) <= 24, len(lines))
        check(f"{name}: 80 columns", max(map(len, lines)) <= 80, max(lines, key=len))
        check(f"{name}: last line and exit code agree", lines[-1].endswith(f"(exit code {code})"), lines[-1])
        check(f"{name}: nothing that a terminal would obey", not re.search("[\x00-\x09\x0b-\x1f\u202e\u200b]", text), text)
        for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            _, plain = shown(["compare", *pair], **variables)
            check(f"{name}: no colours with {variables}", not ESCAPE.search(plain), plain[:200])
        _, ascii_only = shown(["compare", *pair], LANG="C", NO_COLOR="1")
        own = ascii_only if name != "hostile" else b""
        check(f"{name}: ASCII where the locale has no more", own.isascii(), own[:300])
        done = subprocess.run([parity, "compare", *pair], capture_output=True)
        check(f"{name}: no colours in a pipe, nothing on stderr", b"\x1b" not in done.stdout and done.stderr == b"", done.stderr)
        done = subprocess.run([parity, "compare", *pair, "--color", "always"], capture_output=True)
        check(f"{name}: colours in a pipe on demand", ESCAPE.search(done.stdout))


def interrupted(pair):
    for arguments, ready in ((["compare", *pair, "--watch"], b"exit code"), (["view", *pair], b"http://127.0.0.1:")):
        process, ours = start(arguments)
        seen = read_until(ours, lambda seen: ready in seen)
        check(f"{arguments[0]} is there", ready in seen, seen)
        os.write(ours, b"\x03")
        rest = read_until(ours, lambda _: process.poll() is not None)
        code = process.wait(timeout=60)
        check(f"{arguments[0]} ends by Ctrl-C", code in (-signal.SIGINT, 130, 0), code)
        check(f"{arguments[0]} says nothing strange", b"panic" not in rest and b"error" not in rest, rest)
        os.close(ours)


out.mkdir(parents=True, exist_ok=True)
with tempfile.TemporaryDirectory() as folder:
    pairs = write_all(folder)
    screens(pairs)
    interrupted(pairs["fault"])
print(f"terminal: {passed} checks passed; screens in {out}")
