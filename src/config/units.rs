//! Durations, sizes and names as people write them.

/// A length of time: exact, or in calendar months.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Length {
    Ms(i64),
    Months(u32),
}

/// What a duration looks like, for messages.
pub(super) const DURATION: &str = "a duration such as \"500ms\", \"30s\", \"10m\", \"24h\" or \"7d\"";
/// What a size looks like, for messages.
pub(super) const SIZE: &str = "a size such as \"256MB\", \"2GB\" or \"1GiB\"";

/// Splits `12.5GB` into the digits and the unit.
fn split(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(end);
    (!number.is_empty()).then_some((number, unit.trim_start()))
}

/// Reads `24h`, `500ms`, `7d`, `24mo`.
pub(super) fn length(text: &str) -> Option<Length> {
    let (number, unit) = split(text)?;
    let number: u32 = number.parse().ok()?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        "mo" => return Some(Length::Months(number)),
        "y" => return number.checked_mul(12).map(Length::Months),
        _ => return None,
    };
    Some(Length::Ms(i64::from(number) * ms))
}

/// Reads `256MB` (powers of 1000) and `1GiB` (powers of 1024) into bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return None,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if part.contains('.') || part.len() > 6 || (number.contains('.') && part.is_empty()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    let part = match part {
        "" => 0,
        digits => {
            u128::from(digits.parse::<u64>().ok()?) * u128::from(scale) / 10u128.pow(digits.len() as u32)
        }
    };
    whole.checked_add(u64::try_from(part).ok()?)
}

/// Whether a text can name an environment variable.
pub(super) fn is_env_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.len() <= 128
        // Words in capitals by convention; a key pasted by mistake is rarely that.
        && !text.bytes().any(|b| b.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations() {
        assert_eq!(length("500ms"), Some(Length::Ms(500)));
        assert_eq!(length("24h"), Some(Length::Ms(86_400_000)));
        assert_eq!(length("10 m"), Some(Length::Ms(600_000)));
        assert_eq!(length("24mo"), Some(Length::Months(24)));
        assert_eq!(length("2y"), Some(Length::Months(24)));
        for bad in ["", "h", "10", "-1h", "1.5h", "1hour", "10M", "99999999999h", "１h"] {
            assert_eq!(length(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("2GB"), Some(2_000_000_000));
        assert_eq!(size("1GiB"), Some(1 << 30));
        assert_eq!(size("1.5 kb"), Some(1_500));
        assert_eq!(size("0B"), Some(0));
        for bad in ["", "GB", "2", "2G", "-1MB", "1.MB", "1..2MB", "99999999999TB", "1.2.3MB"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn environment_names() {
        for good in ["A", "REDDIT_CLIENT_ID", "_X9"] {
            assert!(is_env_name(good));
        }
        for bad in ["", "9A", "a", "sk-123", "A B", "Ab", "é"] {
            assert!(!is_env_name(bad));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,24}") {
            let _ = (length(&text), size(&text), is_env_name(&text));
        }

        #[test]
        fn sizes_grow_with_the_number(n in 0u64..1_000_000, unit in 0usize..5) {
            let unit = ["B", "KB", "MiB", "GB", "GiB"][unit];
            let (less, more) = (format!("{n}{unit}"), format!("{}{unit}", n + 1));
            prop_assert!(size(&less) < size(&more));
        }
    }
}
