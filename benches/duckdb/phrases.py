"""Brand and taxonomy phrases as RE2 over a prepared text.

The prepared text (see PREPARED in compare.sql) is the normalized text with a space on both
sides of every word and sign, and `;` for the end of a sentence. Word boundaries are then plain
spaces, and the regular expressions stay small.

The grammar is that of `assets/issue_taxonomy.toml`: words, `word*`, `*` (any one word),
`A near B`, `A near/3 B`, `A not "B C"`, signs as words of their own.
"""

import re
import tomllib

SIGNS = "$€£¥%"
WORD = "[^ ;$€£¥%]+"
POSSESSIVE = "(?:'s)?"


def normalize(text):
    text = re.sub("[‘’‛′ʼ´＇]", "'", text.lower())
    return re.sub(r"\s+", " ", text).strip()


def parse(text):
    """A phrase as (head, [(words, side)], [side]); a side is a list of tokens."""
    text = normalize(text)
    items, quoted, at = [], False, 0
    pattern = re.compile(r"[^\W_]+(?:'[^\W_]+|(?<=\d)[.,]\d[^\W_]*)*")
    while at < len(text):
        c = text[at]
        word = pattern.match(text, at)
        if c in '"“”':
            quoted, at = not quoted, at + 1
        elif c in SIGNS:
            items.append(("sign", c))
            at += 1
        elif c == "*":
            items.append(("any", ""))
            at += 1
        elif word:
            end, w = word.end(), word.group()
            after = text[end : end + 1]
            alone = at == 0 or text[at - 1] == " "
            if not quoted and alone and w == "not" and after in ("", " "):
                items.append(("NOT", ""))
            elif not quoted and alone and w == "near" and after in ("", " ", "/"):
                words = 5
                if after == "/":
                    digits = re.match(r"\d+", text[end + 1 :]).group()
                    words, end = int(digits), end + 1 + len(digits)
                items.append(("NEAR", words))
            else:
                items.append(("prefix" if after == "*" else "word", w))
                end += after == "*"
            at = end
        else:
            at += 1
    head, near, no = [], [], []
    for kind, value in items:
        if kind == "NEAR":
            near.append((value, []))
        elif kind == "NOT":
            no.append([])
        else:
            (no[-1] if no else near[-1][1] if near else head).append((kind, value))
    return head, near, no


def spell(tokens):
    """A side as it stands in the column issue_rule."""
    words = {"prefix": "{}*", "any": "*"}
    out = " ".join(words.get(kind, "{}").format(value) for kind, value in tokens)
    reserved = any(kind == "word" and value in ("near", "not") for kind, value in tokens)
    return f'"{out}"' if reserved else out


def short(phrase):
    head, near, _ = phrase
    if not head:
        return "*"
    return spell(head) + "".join(f" near{'' if n == 5 else f'/{n}'} {spell(side)}" for n, side in near)


def side_regex(tokens):
    """Without the spaces around it."""
    out = []
    for i, (kind, value) in enumerate(tokens):
        last = i == len(tokens) - 1
        literal = re.escape(value.replace(",", "_").replace(".", "_") if kind != "sign" else value)
        out.append(
            {
                "word": literal + POSSESSIVE,
                "prefix": literal + "[^ ]*",
                "any": WORD,
                "sign": literal,
            }[kind]
            + ("" if last else " +")
        )
    return "".join(out)


def phrase_regex(head, near):
    """A phrase of at most one `near`, without its `not` parts; `near` in both orders."""
    if not near:
        return side_regex(head)
    ((words, side),) = near
    a, b = side_regex(head), side_regex(side)
    gap = f"(?: +[;$€£¥%])*(?: +{WORD}(?: +[;$€£¥%])*){{0,{words}}} +"
    return f"{a}{gap}{b}|{b}{gap}{a}"


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def matches(column, phrases):
    """SQL that is true where at least one of the phrases matches."""
    if any(not head for head, _, _ in phrases):
        return "true"
    several = [p for p in phrases if len(p[1]) > 1]
    phrases = [p for p in phrases if len(p[1]) <= 1]
    plain = [side_regex(head) for head, near, no in phrases if not near and not no]
    close = [phrase_regex(head, near) for head, near, no in phrases if near and not no]
    any_of = lambda sides: f"regexp_matches({column}, {quote(' (?:' + '|'.join(sides) + ') ')})"
    parts = [any_of(plain)] if plain else []
    if close:
        # Both ends must be there before the distance is worth a look.
        ends = [(side_regex(head), side_regex(near[0][1])) for head, near, no in phrases if near and not no]
        firsts, seconds = (any_of(list(dict.fromkeys(sides))) for sides in zip(*ends))
        distance = any_of(close)
        parts.append(f"(CASE WHEN {firsts} THEN CASE WHEN {seconds} THEN {distance} ELSE false END ELSE false END)")
    for head, near, no in several:
        # Each side is near some match of the head: close enough for the phrases at hand.
        parts.append("(" + " AND ".join(matches(column, [(head, [one], no)]) for one in near) + ")")
    for head, near, no in phrases:
        if not no:
            continue
        wanted = quote(" (?:" + phrase_regex(head, near) + ") ")
        taken = quote(" (?:" + "|".join(side_regex(side) for side in no) + ") ")
        # Spaces are doubled so that neighbours do not take each other's.
        rest = f"regexp_replace(replace({column}, ' ', '  '), {taken}, ' ; ', 'g')"
        parts.append(
            f"(CASE WHEN regexp_matches({column}, {wanted}) THEN regexp_matches({rest}, {wanted}) ELSE false END)"
        )
    return "(" + " OR ".join(parts) + ")" if parts else "false"


def first_rule(column, rules):
    """SQL for the spelling of the first rule that matches, known that one does: by halves."""
    if len(rules) == 1:
        return quote(rules[0][0])
    half = len(rules) // 2
    left, right = rules[:half], rules[half:]
    test = matches(column, [phrase for _, phrase in left])
    return f"CASE WHEN {test} THEN {first_rule(column, left)} ELSE {first_rule(column, right)} END"


def taxonomy(path):
    """Issue types in the order of their priority: (id, matches SQL, rule SQL), and the fallback."""
    with open(path, "rb") as file:
        issues = tomllib.load(file)["issue"]
    fallback = next(i["id"] for i in issues if i.get("fallback"))
    out = []
    for issue in sorted(issues, key=lambda i: -i.get("priority", 0)):
        include = [parse(p) for p in issue.get("include", [])]
        exclude = [parse(p) for p in issue.get("exclude", [])]
        if not include:
            continue
        test = matches("t", include)
        if exclude:
            test = f"(CASE WHEN {test} THEN NOT {matches('t', exclude)} ELSE false END)"
        rules = [(f"{issue['id']}: {short(p)}", p) for p in include]
        out.append((issue["id"], test, first_rule("t", rules)))
    return out, fallback


def place(name):
    name = name.strip().removeprefix("/")
    return re.sub("^[rR]/", "", name).lower()


def brands(path):
    """Brands in declared order: (key, matches SQL over columns b, platform, channel)."""
    with open(path, "rb") as file:
        declared = tomllib.load(file)["brands"]
    out = []
    for key, brand in declared.items():
        tests = []
        if brand.get("match_any"):
            tests.append(matches("b", [parse(p) for p in brand["match_any"]]))
        if brand.get("match_all"):
            lists = [matches("b", [parse(p) for p in names]) for names in brand["match_all"]]
            tests.append("(" + " AND ".join(lists) + ")")
        for column, names in (("channel", "match_channels"), ("platform", "match_platforms")):
            if brand.get(names):
                listed = ", ".join(quote(place(n)) for n in brand[names])
                tests.append(f"coalesce(lower({column}) IN ({listed}), false)")
        out.append((key, "(" + " OR ".join(tests) + ")"))
    return out
