//! What differs between two texts, as lines that go and lines that come.
//!
//! Pure. For files a person wrote: it looks at every pair of lines that are not alike at the
//! beginning and at the end.

/// Lines shown around a change.
const AROUND: usize = 2;
/// Pairs of lines beyond which all that differs is shown as one change.
const MOST: usize = 4_000_000;

/// The differences between two texts: each line behind `-`, `+` or a space, changes that lie
/// apart divided by `…`. Empty when the texts are alike.
pub fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (a, b) = (&old[same..], &new[same..]);
    let tail = a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count();
    let mut lines: Vec<(char, &str)> = old[..same].iter().map(|l| (' ', *l)).collect();
    changes(&a[..a.len() - tail], &b[..b.len() - tail], &mut lines);
    lines.extend(a[a.len() - tail..].iter().map(|l| (' ', *l)));

    let mut out = String::new();
    let mut gap = false;
    for (at, (sign, line)) in lines.iter().enumerate() {
        let near = &lines[at.saturating_sub(AROUND)..lines.len().min(at + AROUND + 1)];
        if near.iter().all(|(sign, _)| *sign == ' ') {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) && !out.is_empty() {
            out.push_str("…\n");
        }
        out.push_str(format!("{sign} {line}").trim_end());
        out.push('\n');
    }
    out
}

/// The fewest lines that go and come.
fn changes<'a>(a: &[&'a str], b: &[&'a str], lines: &mut Vec<(char, &'a str)>) {
    if a.len().saturating_mul(b.len()) > MOST {
        lines.extend(a.iter().map(|l| ('-', *l)));
        lines.extend(b.iter().map(|l| ('+', *l)));
        return;
    }
    // How many lines are common from here on.
    let width = b.len() + 1;
    let mut common = vec![0u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = match a[i] == b[j] {
                true => common[(i + 1) * width + j + 1] + 1,
                false => common[(i + 1) * width + j].max(common[i * width + j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || i < a.len() && common[(i + 1) * width + j] >= common[i * width + j + 1] {
            lines.push(('-', a[i]));
            i += 1;
        } else {
            lines.push(('+', b[j]));
            j += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_and_what_comes_with_a_little_around_it() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        assert_eq!(diff(old, old), "");
        let new = "1\n2\nthree\n4\n5\n6\n7\n8\n9\n10\n11\n12\nend\n";
        assert_eq!(diff(old, new), "  1\n  2\n- 3\n+ three\n  4\n  5\n…\n  11\n  12\n+ end\n");
        assert_eq!(diff("", "a\n"), "+ a\n");
        assert_eq!(diff("a\n\nb\n", ""), "- a\n-\n- b\n");
    }
}
