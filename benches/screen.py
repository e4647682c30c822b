"""A terminal for the benchmarks: a viewer in a pty of its own, and what it writes there.

Python's standard library only. Times are taken where bytes arrive, not where a screen is polled.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

ESCAPE = re.compile(rb"\x1b\[[0-9;?<>=]*[a-zA-Z]|\x1b[()][A-Z0-9]|\x1b[=>78]")


class Screen:
    """A program in a pty. `text` is what it wrote without escape sequences."""

    def __init__(self, argv, columns=80, rows=24, env=None):
        self.began = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(argv[0], argv, {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})})
        self.bytes = b""
        self.status = None

    @property
    def text(self):
        return ESCAPE.sub(b"", self.bytes).decode("utf-8", "replace")

    def read(self, seconds):
        """What arrives within so many seconds at first; empty when nothing does."""
        ready, _, _ = select.select([self.fd], [], [], max(seconds, 0))
        if not ready:
            return b""
        try:
            new = os.read(self.fd, 1 << 16)
        except OSError:
            new = b""
        self.bytes += new
        return new

    def until(self, wanted, seconds=20.0):
        """Seconds from now until the screen has said a word since now; None when it does not."""
        began, seen = time.perf_counter(), len(self.bytes)
        while time.perf_counter() - began < seconds:
            new = self.read(0.05)
            if wanted in ESCAPE.sub(b"", self.bytes[seen:]).decode("utf-8", "replace"):
                return time.perf_counter() - began
            if not new and self.ended():
                return None
        return None

    def quiet(self, pause, seconds=20.0):
        """Reads until nothing has come for `pause` seconds. When the last byte came."""
        last, end = time.perf_counter(), time.perf_counter() + seconds
        while time.perf_counter() < end:
            if self.read(pause):
                last = time.perf_counter()
            elif time.perf_counter() - last >= pause:
                break
        return last

    def key(self, keys):
        """Seconds from writing keys to the first bytes that answer."""
        while self.read(0):
            pass
        began = time.perf_counter()
        os.write(self.fd, keys.encode())
        return time.perf_counter() - began if self.read(2.0) else None

    def resize(self, columns, rows):
        # The kernel tells the foreground process with SIGWINCH.
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def cpu(self):
        """CPU seconds that the process has used."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ended(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def close(self, keys="q"):
        """Ends the program; its exit code (negative for a signal)."""
        if not self.ended():
            try:
                os.write(self.fd, keys.encode())
            except OSError:
                pass
        end = time.perf_counter() + 5
        while not self.ended() and time.perf_counter() < end:
            self.read(0.02)
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            _, status = os.waitpid(self.pid, 0)
            self.status = os.waitstatus_to_exitcode(status)
        os.close(self.fd)
        return self.status


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else None


def ms(seconds):
    return None if seconds is None else round(seconds * 1000, 1)
