#!/usr/bin/env python3
"""A year of days from a local server of the archive's shape: requests against the least possible,
time, and what a killed backfill asks for again.

    cargo build --release
    python3 benches/archive.py            # RX=path/to/rxpulse for another binary

Python's standard library only. Prints numbers; fails when a count is not what it must be.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parent.parent
RX = os.environ.get("RX", str(ROOT / "target/release/rxpulse"))
START, DAYS = date(2025, 1, 1), 365
EPOCH = int(time.mktime(time.strptime("2025-01-01 UTC", "%Y-%m-%d %Z"))) - time.timezone
SEED = int(os.environ.get("SEED", random.randrange(1 << 30)))
rng = random.Random(SEED)
POSTS = [rng.choice([0, 3, 20, 60, 99, 100, 101, 140, 250]) for _ in range(DAYS)]


def posts(day):
    step = 86_400 // max(POSTS[day], 1)
    return [
        {
            "id": f"d{day}n{n}",
            "name": f"t3_d{day}n{n}",
            "subreddit": "pharmacy",
            "title": f"Amazon Pharmacy question {n}",
            "selftext": "my refill is late",
            "author": "somebody",
            "created_utc": EPOCH + day * 86_400 + n * step,
            "score": n,
            "num_comments": 0,
            "retrieved_on": EPOCH + (day + 3) * 86_400,
        }
        for n in range(POSTS[day])
    ]


class Archive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = Counter()
    lock = threading.Lock()

    def do_GET(self):
        q = {k: v[0] for k, v in parse_qs(urlsplit(self.path).query).items()}
        after, before = int(q["after"]), int(q["before"])
        day = (before - 1 - EPOCH) // 86_400
        with Archive.lock:
            Archive.asked[day] += 1
        limit = 1000 if q["limit"] == "auto" else int(q["limit"])
        found = [p for d in (day - 1, day) if 0 <= d < DAYS for p in posts(d)]
        found = [p for p in found if after < p["created_utc"] < before][:limit]
        body = json.dumps({"data": found}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def project(folder, port):
    (folder / "assets").mkdir(parents=True)
    end = START + timedelta(days=DAYS - 1)
    (folder / "pipelines.toml").write_text(
        f"""[project]
name = "year"
start = "{START}"
end = "{end}"
[brands.all]
name = "All"
match_any = ["*"]
[sources.archive]
type = "reddit_archive"
subreddits = ["pharmacy"]
base_url = "http://127.0.0.1:{port}"
[assets.raw_posts]
layer = "bronze"
kind = "source"
sources = ["archive"]
"""
    )
    text = (ROOT / "assets/issue_taxonomy.toml").read_text()
    (folder / "assets/issue_taxonomy.toml").write_text(text)


def rx(folder, *args):
    return subprocess.run([RX, "-C", str(folder), *args], capture_output=True, text=True)


def captured(folder):
    answer = rx(folder, "query", "--format", "json", "SELECT count(DISTINCT native_id) AS n FROM raw_posts")
    return json.loads(answer.stdout)[0]["n"]


def check(what, found, wanted):
    print(f"{what}: {found}")
    if found != wanted:
        sys.exit(f"{what} should be {wanted}")


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"seed {SEED}, {sum(POSTS)} posts on {DAYS} days")
    with tempfile.TemporaryDirectory() as temp:
        whole = Path(temp) / "whole"
        project(whole, server.server_port)
        began = time.monotonic()
        done = rx(whole, "materialize", "raw_posts")
        took = time.monotonic() - began
        if done.returncode:
            sys.exit(done.stderr)
        least = [max(-(-n // 100), 1) for n in POSTS]
        over = max(Archive.asked[d] - least[d] for d in range(DAYS))
        print(f"{took:.1f} s, {sum(Archive.asked.values())} requests, {sum(least)} are the least")
        print(f"most requests of a day above its least: {over}")
        if over > 1:
            sys.exit("more than one above the least")
        check("posts", captured(whole), sum(POSTS))

        Archive.asked.clear()
        killed = Path(temp) / "killed"
        project(killed, server.server_port)
        process = subprocess.Popen(
            [RX, "-C", str(killed), "materialize", "raw_posts"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(Archive.asked) < DAYS // 2 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            sys.exit("it ended before it was killed")
        first = Counter(Archive.asked)
        Archive.asked.clear()
        done = rx(killed, "materialize", "raw_posts")
        if done.returncode:
            sys.exit(done.stderr)
        again = [d for d in Archive.asked if d in first]
        print(f"killed after {len(first)} days; asked for again: {len(again)}")
        if len(again) > 1:
            sys.exit("a committed day was asked for again")
        check("posts after the kill", captured(killed), sum(POSTS))


main()
