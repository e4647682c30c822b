#!/usr/bin/env python3
"""The run monitor over 2,027 days of five tables and a year of runs: how soon, how quick, how idle.

    [SIZES="80x24"] viewer.py [--rxpulse target/release/rxpulse] [--fill target/release/bench-fill] [--keep DIR]

Makes the project (the sample source, one post a day), records 8,760 hourly runs and some large
backfills, and prints one JSON line a size of terminal:

- `first_ms`: from starting the process to the end of the first frame (p50 and worst of 10 starts);
- `data_ms`: from starting the process until the screen shows tables;
- `key_ms`: from writing a key to the first bytes that answer it, over 200 keys on every screen;
- `idle_cpu`: percent of one core over 20 s when nothing happens;
- `storm`: 200 resizes in 5 s between 1x1 and 400x100: whether it lives, and how soon after the
  last one the screen was whole again.
"""

import argparse
import datetime
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from screen import ESCAPE, Screen, ms, quantile

SIZES = [tuple(map(int, s.split("x"))) for s in os.environ.get("SIZES", "200x60 80x24 60x20 40x10").split()]

CONFIG = """
[project]
name     = "viewer"
start    = "{start}"
end      = "{end}"
timezone = "UTC"

[brands.all]
match_any = ["*"]

[sources.sample]
type = "sample"
posts_per_day = 1

[assets.raw_posts]
layer = "bronze"
kind = "source"
sources = ["sample"]
"""

TABLE = """
[assets.{name}]
layer = "gold"
kind = "sql"
deps = ["{up}"]
key = ["n"]
"""

KEYS = ["j", "k", "\r", "\x1b", "2", "j", "\r", "\t", "j", "\t", "k", "\x1b", "3", "4", "1", "j", "p", "h", "l", "k", "z", "\x1b", "?", "\x1b"]


def main():
    here = Path(__file__).resolve().parent.parent
    target = Path(os.environ.get("CARGO_TARGET_DIR", here / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rxpulse", default=target / "release" / "rxpulse", type=Path)
    parser.add_argument("--fill", default=target / "release" / "bench-fill", type=Path)
    parser.add_argument("--days", default=2_027, type=int)
    parser.add_argument("--hours", default=8_760, type=int)
    parser.add_argument("--idle", default=20.0, type=float)
    parser.add_argument("--keep", type=Path, help="make the project here, and use it again when it is there")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = args.keep or Path(folder)
        if not (project / "pipelines.toml").exists():
            make(args, here, project)
        for columns, rows in SIZES:
            print(json.dumps(measure(args, project, columns, rows)), flush=True)
        print(json.dumps({"storm": storm(args, project)}), flush=True)


def make(args, here, project):
    (project / "assets").mkdir(parents=True)
    (project / "assets" / "issue_taxonomy.toml").write_text((here / "assets" / "issue_taxonomy.toml").read_text())
    end = datetime.date(2026, 5, 18)
    config = CONFIG.format(start=end - datetime.timedelta(days=args.days - 1), end=end)
    up = "raw_posts"
    for n in range(1, 5):
        name = f"table_{n}"
        config += TABLE.format(name=name, up=up)
        column = "count(*)" if n == 1 else "max(n)"
        (project / "assets" / f"{name}.sql").write_text(f"SELECT dt, {column} AS n FROM {up} GROUP BY dt\n")
        up = name
    (project / "pipelines.toml").write_text(config)
    subprocess.run([args.rxpulse, "-C", project, "materialize", "--all", "--quiet"], check=True)
    subprocess.run([args.fill, project, str(args.hours)], check=True, stdout=sys.stderr)


def start(args, project, columns, rows):
    return Screen([str(args.rxpulse), "-C", str(project), "tui"], columns, rows)


def measure(args, project, columns, rows):
    first, data = [], []
    for _ in range(10):
        screen = start(args, project, columns, rows)
        # The first frame ends where bytes stop coming for a moment.
        begun = None
        while begun is None:
            if b"\x1b[?1049h" in screen.bytes and ESCAPE.sub(b"", screen.bytes).strip():
                begun = time.perf_counter()
            elif not screen.read(5.0):
                raise SystemExit(f"nothing was drawn: {screen.bytes!r}")
        first.append(screen.quiet(0.004, 1.0) - screen.began)
        if "table" not in screen.text:
            screen.until("table")
        data.append(time.perf_counter() - screen.began)
        code = screen.close()
        if code != 0:
            raise SystemExit(f"it ended with {code}: {screen.text[-500:]}")
    screen = start(args, project, columns, rows)
    screen.until("table")
    screen.quiet(0.5, 5)
    keys, silent = [], 0
    for n in range(200):
        took = screen.key(KEYS[n % len(KEYS)])
        silent += took is None
        if took is not None:
            keys.append(took)
        time.sleep(0.03)
    screen.key("1")
    screen.quiet(4.0, 10)
    before, began = screen.cpu(), time.perf_counter()
    screen.quiet(args.idle, args.idle)
    idle = (screen.cpu() - before) / (time.perf_counter() - began) * 100
    code = screen.close()
    return {
        "size": f"{columns}x{rows}",
        "first_ms": {"p50": ms(quantile(first, 0.5)), "max": ms(max(first))},
        "data_ms": {"p50": ms(quantile(data, 0.5)), "max": ms(max(data))},
        "key_ms": {"p50": ms(quantile(keys, 0.5)), "p99": ms(quantile(keys, 0.99)), "max": ms(max(keys))},
        "keys_without_answer": silent,
        "idle_cpu": round(idle, 2),
        "exit": code,
    }


def storm(args, project):
    screen = start(args, project, 200, 60)
    screen.until("table")
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    began = time.perf_counter()
    for n in range(200):
        small = n % 10 == 0
        screen.resize(1 if small else dice.randint(1, 400), 1 if small else dice.randint(1, 100))
        end = began + (n + 1) * 5 / 200
        while time.perf_counter() < end:
            screen.read(max(0.0, end - time.perf_counter()))
    alive = not screen.ended()
    # A known size at the end: everything is drawn again, and the right words are there.
    screen.resize(120, 40)
    seen = len(screen.bytes)
    began = time.perf_counter()
    last = screen.quiet(0.3, 3)
    drawn = ESCAPE.sub(b"", screen.bytes[seen:]).decode("utf-8", "replace")
    right = all(word in drawn for word in ("raw_posts", "table_4"))
    code = screen.close()
    panicked = bool(re.search("panicked", screen.text))
    return {
        "seed": seed, "alive": alive, "panicked": panicked, "right_afterwards": right,
        "settled_ms": ms(last - began), "exit": code,
    }


if __name__ == "__main__":
    main()
