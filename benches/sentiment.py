#!/usr/bin/env python3
"""VADER's Python reference on labelled texts: what `rxpulse model eval` is compared with.

    python3 -m venv .venv && .venv/bin/pip install vaderSentiment==3.3.2
    .venv/bin/python benches/sentiment.py [--neutral 0.5] FILE...

Reads the same files in the same way (texts with one clear label). Classes by VADER's own thresholds: compound
of 0.05 and more is positive, -0.05 and less negative. One JSON line a file: texts, macro-recall, recall of each
class, texts a second on one core.
"""

import argparse
import json
import re
import time

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

CLASSES = ("negative", "neutral", "positive")
GROUPS = ["ambiguous", "negative", "neutral", "positive"]
EMOTIONS = (
    "positive positive negative negative positive positive ambiguous ambiguous positive negative negative negative "
    "negative positive negative positive negative positive positive negative positive positive ambiguous positive "
    "negative negative ambiguous neutral"
).split()
PLAIN = {"-1": "negative", "0": "neutral", "1": "positive", **{name: name for name in CLASSES}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--neutral", type=float, default=0.5, help="ratings up to this far from 0 are neutral")
    args = parser.parse_args()
    vader = SentimentIntensityAnalyzer()
    for path in args.files:
        examples = read(path, args.neutral)
        began = time.perf_counter()
        found = [named(vader.polarity_scores(text)["compound"]) for _, text in examples]
        seconds = time.perf_counter() - began
        recalls = {}
        for name in CLASSES:
            of_class = [f for (label, _), f in zip(examples, found) if label == name]
            if of_class:
                recalls[name] = round(sum(f == name for f in of_class) / len(of_class), 3)
        whole = sum(recalls.values()) / len(recalls)
        said = {"file": path, "texts": len(examples), "macro_recall": round(whole, 3), "recall": recalls}
        print(json.dumps({**said, "texts_per_s": round(len(examples) / seconds)}), flush=True)


def read(path, neutral):
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if "\t" in line]
    first = lines[0]
    if len(first) == 2:
        return [(PLAIN[label], text) for label, text in lines]
    if re.fullmatch(r"[0-9_]+", first[0]):
        return [(rated(float(mean), neutral), text) for _, mean, text in lines]
    ids = [{int(i) for i in cells[1].split(",")} for cells in lines]
    table = GROUPS if max(map(max, ids)) < len(GROUPS) else EMOTIONS
    examples = []
    for cells, own in zip(lines, ids):
        groups = {table[i] for i in own}
        if len(groups) == 1 and groups != {"ambiguous"}:
            text = cells[0]
            if text.startswith('"') and text.endswith('"'):
                text = text[1:-1].replace('""', '"')
            examples.append((groups.pop(), text))
    return examples


def rated(mean, neutral):
    return "positive" if mean > neutral else "negative" if mean < -neutral else "neutral"


def named(compound):
    return "positive" if compound >= 0.05 else "negative" if compound <= -0.05 else "neutral"


if __name__ == "__main__":
    main()
