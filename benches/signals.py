#!/usr/bin/env python3
"""Interrupts a backfill at random moments, and cancels it from another process.

    signals.py [--rxpulse target/release/rxpulse] [--rounds 100] [--cancels 10] [--seed N]

SIGINT and SIGTERM in turn. One JSON line for signals, one for `runs cancel`:

- `ack_ms`: from the signal to the first line on standard error;
- `finish_ms`: from the signal to the end of the process;
- how many ended how; a run that is left in any state but canceled or succeeded, a step that is
  left open, another exit code or a plan that cannot be made stops the script.
"""

import argparse
import json
import os
import random
import select
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from screen import ms, quantile

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
BACKFILL = ["backfill", "silver_posts+", "--force"]


def main():
    here = Path(__file__).resolve().parent.parent
    target = Path(os.environ.get("CARGO_TARGET_DIR", here / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rxpulse", default=target / "release" / "rxpulse", type=Path)
    parser.add_argument("--rounds", default=100, type=int)
    parser.add_argument("--cancels", default=10, type=int)
    parser.add_argument("--posts", default=60, type=int, help="posts a day; more make longer backfills")
    parser.add_argument("--seed", default=random.randrange(1 << 32), type=int)
    args = parser.parse_args()
    print(json.dumps({"seed": args.seed}), flush=True)
    dice = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        call(args, project, "init", project, said=False, inside=False)
        config = project / "pipelines.toml"
        text = config.read_text()
        lines = [
            f"posts_per_day = {args.posts}" if line.startswith("posts_per_day") else line for line in text.splitlines()
        ]
        config.write_text("\n".join(lines) + "\n")
        call(args, project, "materialize", "--all", "--quiet", said=False)
        began = time.perf_counter()
        call(args, project, *BACKFILL, "--quiet", said=False)
        whole = time.perf_counter() - began
        signals(args, project, dice, whole)
        cancels(args, project, dice, whole)


def call(args, project, *argv, said=True, inside=True, codes=(0,)):
    where = ["-C", str(project)] if inside else []
    done = subprocess.run([str(args.rxpulse), *where, *map(str, argv)], capture_output=True, text=True)
    if done.returncode not in codes:
        raise SystemExit(f"{argv} ended with {done.returncode}: {done.stderr}")
    return json.loads(done.stdout) if said else done


def newest(args, project):
    runs = call(args, project, "runs", "list", "--format", "json")
    return runs[0] if runs else None


def in_order(args, project, before, what):
    """How the run stands that was begun since, if one was."""
    run = newest(args, project)
    if run is None or run["id"] == before:
        return "not begun"
    if run["life"] not in ("canceled", "succeeded"):
        raise SystemExit(f"{what}: run {run['id']} is {run['life']}")
    shown = call(args, project, "runs", "show", run["id"], "--format", "json")
    still = [s for s in shown["step_list"] if s["state"] in ("waiting", "ready", "running", "failed", "upstream_failed")]
    if still:
        raise SystemExit(f"{what}: steps are left open: {still[:3]}")
    call(args, project, "plan", "--all", "--format", "json")
    return run["life"]


def signals(args, project, dice, whole):
    acks, ends, how = [], [], {}
    for n in range(args.rounds):
        which = (signal.SIGINT, signal.SIGTERM)[n % 2]
        before = newest(args, project)["id"]
        delay = dice.uniform(0, whole * 1.02)
        child = subprocess.Popen(
            [str(args.rxpulse), "-C", str(project), *BACKFILL],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        time.sleep(delay)
        os.set_blocking(child.stderr.fileno(), False)
        said_before = child.stderr.read() or b""
        sent = time.perf_counter()
        child.send_signal(which)
        ack, said = None, b""
        while child.poll() is None or ack is None:
            ready, _, _ = select.select([child.stderr], [], [], 0.01)
            new = (child.stderr.read() or b"") if ready else b""
            said += new
            if new and ack is None and any(w in said for w in (b"cancel", b"interrupted", b"succeeded")):
                ack = time.perf_counter() - sent
            if not new and child.poll() is not None:
                break
        end = time.perf_counter() - sent
        code = child.wait()
        what = f"round {n}, {which.name} after {delay:.3f} s"
        life = in_order(args, project, before, what)
        if code == -which:
            word = "before it listened" if life == "not begun" else "killed"
        elif code == 0 and life == "succeeded":
            word = "was over"
        elif code == CODES[which]:
            word = life
        else:
            raise SystemExit(f"{what}: exit code {code}, run {life}: {said_before + said}")
        if word == "killed":
            raise SystemExit(f"{what}: the signal killed it in the middle of a run")
        how[word] = how.get(word, 0) + 1
        ends.append(end)
        if ack is not None:
            acks.append(ack)
        elif word in ("canceled", "not begun"):
            raise SystemExit(f"{what}: no word on standard error: {said_before + said}")
    call(args, project, "materialize", "--all", "--quiet", said=False)
    left = call(args, project, "plan", "--all", "--format", "json")["steps"]
    print(json.dumps({
        "signals": args.rounds, "backfill_s": round(whole, 2), "ended": how,
        "ack_ms": {"p50": ms(quantile(acks, 0.5)), "p99": ms(quantile(acks, 0.99)), "max": ms(max(acks, default=None))},
        "finish_ms": {"p50": ms(quantile(ends, 0.5)), "max": ms(max(ends))},
        "left_to_do_afterwards": len(left),
    }), flush=True)


def cancels(args, project, dice, whole):
    took, states = [], {}
    for _ in range(args.cancels):
        before = newest(args, project)["id"]
        child = subprocess.Popen(
            [str(args.rxpulse), "-C", str(project), *BACKFILL, "--quiet"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        while newest(args, project)["id"] == before:
            time.sleep(0.01)
        time.sleep(dice.uniform(0, whole * 0.6))
        began = time.perf_counter()
        call(args, project, "runs", "cancel", said=False, codes=(0, 2))
        took.append(time.perf_counter() - began)
        child.wait()
        life = in_order(args, project, before, "cancel")
        states[life] = states.get(life, 0) + 1
    print(json.dumps({
        "cancels": args.cancels, "ended": states,
        "returned_ms": {"p50": ms(quantile(took, 0.5)), "max": ms(max(took))},
    }), flush=True)


if __name__ == "__main__":
    main()
