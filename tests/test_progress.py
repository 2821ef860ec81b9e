"""Bars on a terminal, log lines elsewhere, and both together."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import suppress

import pytest

BAR = """
import time
from bike.progress import log, progress, say_less, start_log
start_log("INFO")
{before}
with progress("extract", 40, unit="videos") as job:
    for number in range(40):
        job.advance(note=f"{{number}} rejected")
        time.sleep(0.01)
        if number == 20:
            log.warning("a line in the middle, of clip [b]x[/b].mp4")
"""


def shown(columns: int, *, before: str = "", **variables: str) -> str:
    """What a terminal of so many columns gets."""
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminals here ({error})")
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment |= {"TERM": "xterm-256color", **variables}
    program = [sys.executable, "-c", BAR.format(before=before)]
    process = subprocess.Popen(program, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    parts = list(chunks(ours))
    assert process.wait(timeout=60) == 0
    return b"".join(parts).decode()


def chunks(terminal: int) -> Iterator[bytes]:
    with suppress(OSError):  # EIO: the other side is closed
        while block := os.read(terminal, 65536):
            yield block
    os.close(terminal)


def screen(text: str) -> list[str]:
    """The lines that stand on a terminal in the end: of what was written over, the last."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\r":
            column = 0
        elif part == "\x1b[2K":
            lines[row] = ""
        elif re.fullmatch(r"\x1b\[\d*A", part):
            row -= int(part[2:-1] or 1)
        elif not part.startswith("\x1b"):
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return lines


@pytest.mark.parametrize("columns", [60, 100])
def test_a_log_line_stands_above_the_bar_and_nothing_is_folded(columns: int) -> None:
    lines = screen(shown(columns))
    assert lines[0].rstrip() == "a line in the middle, of clip [b]x[/b].mp4"
    assert re.match(r"extract .*40/40 .*videos/s 39 rej", lines[1])
    assert [line for line in lines[2:] if line.strip()] == []
    assert max(map(len, lines)) <= columns


def test_a_quiet_terminal_has_no_bar() -> None:
    assert shown(100, before="say_less()").strip() == "a line in the middle, of clip [b]x[/b].mp4"


def test_no_color_is_respected() -> None:
    colours = r"\x1b\[[0-9;]*(3[0-7]|38|9[0-7])[;m]"
    assert re.search(colours, shown(100))
    assert not re.search(colours, shown(100, NO_COLOR="1"))
