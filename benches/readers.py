#!/usr/bin/env python3
"""Whoever reads is never told that the database is locked, and whoever writes hardly waits.

    readers.py [--rxpulse target/release/rxpulse] [--minutes 5]

Backfills one after the other, two viewers in ptys that go from screen to screen, and `status` in
a loop. Prints one JSON line: how often each of them ran, words about a locked or busy database
(there must be none), and the times of all writes of the backfills (`RXPULSE_LOG`): p50, p99, max.
"""

import argparse
import json
import os
import re
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from screen import Screen, ms, quantile

LOCKED = re.compile(r"database is locked|was busy for|is locked", re.I)
WROTE = re.compile(r"elapsed_us=(\d+)")


def main():
    here = Path(__file__).resolve().parent.parent
    target = Path(os.environ.get("CARGO_TARGET_DIR", here / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rxpulse", default=target / "release" / "rxpulse", type=Path)
    parser.add_argument("--minutes", default=5.0, type=float)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        subprocess.run([args.rxpulse, "init", project], check=True, capture_output=True)
        subprocess.run([args.rxpulse, "-C", project, "materialize", "--all", "--quiet"], check=True)
        until = time.monotonic() + args.minutes * 60
        found = {"backfills": 0, "statuses": 0, "keys": 0}
        words, writes, status_s = [], [], []
        threads = [
            threading.Thread(target=backfill, args=(args, project, until, found, words, writes)),
            threading.Thread(target=status, args=(args, project, until, found, words, status_s)),
            *(threading.Thread(target=view, args=(args, project, until, found, words, n)) for n in range(2)),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(json.dumps({
            **found, "minutes": args.minutes, "locked": len(words), "said": words[:5], "writes": len(writes),
            "write_ms": {
                "p50": ms(quantile(writes, 0.5)), "p99": ms(quantile(writes, 0.99)), "max": ms(max(writes, default=0)),
            },
            "status_ms": {"p50": ms(quantile(status_s, 0.5)), "p99": ms(quantile(status_s, 0.99))},
        }))


def backfill(args, project, until, found, words, writes):
    env = {**os.environ, "RXPULSE_LOG": "rxpulse::state=debug,warn", "NO_COLOR": "1"}
    while time.monotonic() < until:
        done = subprocess.run(
            [args.rxpulse, "-C", project, "backfill", "silver_posts+", "--force", "--progress", "plain"],
            env=env, capture_output=True, text=True,
        )
        found["backfills"] += 1
        writes.extend(int(us) / 1e6 for us in WROTE.findall(done.stderr))
        words.extend(line for line in done.stderr.splitlines() if LOCKED.search(line))
        if done.returncode != 0:
            words.append(f"a backfill ended with {done.returncode}: {done.stderr[-300:]}")


def status(args, project, until, found, words, took):
    while time.monotonic() < until:
        began = time.perf_counter()
        done = subprocess.run([args.rxpulse, "-C", project, "status"], capture_output=True, text=True)
        took.append(time.perf_counter() - began)
        found["statuses"] += 1
        if done.returncode != 0 or LOCKED.search(done.stderr):
            words.append(f"status ended with {done.returncode}: {done.stderr[-300:]}")


def view(args, project, until, found, words, n):
    screen = Screen([str(args.rxpulse), "-C", str(project), "tui", "--readonly"], 120 - 40 * n, 40 - 16 * n)
    keys = ["1", "2", "\r", "\t", "\t", "\x1b", "3", "4", "1", "j", "p", "\x1b"]
    at = seen = 0
    while time.monotonic() < until:
        screen.key(keys[at % len(keys)])
        at += 1
        screen.quiet(0.2, 1.0)
        if len(screen.bytes) - seen > 1 << 20:
            words.extend(LOCKED.findall(screen.text))
            screen.bytes, seen = b"", 0
        if screen.ended():
            words.append(f"a viewer ended with {screen.status}: {screen.text[-300:]}")
            return
    found["keys"] += at
    words.extend(LOCKED.findall(screen.text))
    if screen.close() != 0:
        words.append(f"a viewer ended with {screen.status}")


if __name__ == "__main__":
    main()
