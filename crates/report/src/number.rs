//! How a figure is written.

/// With so many decimals, or with about three digits that count if none are given. Thousands are
/// set apart: `38 900`.
pub fn shown(value: f64, decimals: Option<usize>) -> String {
    let decimals = decimals.unwrap_or(match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 || size == 0.0 => 2,
        _ => 3,
    });
    let text = format!("{value:.decimals$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut grouped = String::with_capacity(text.len() + 4);
    for (at, digit) in text.char_indices() {
        let right = whole.saturating_sub(at);
        if at > 0 && right > 0 && right % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let adaptive = |value| shown(value, None);
        assert_eq!(adaptive(2694.6), "2 695");
        assert_eq!(adaptive(499.4), "499");
        assert_eq!(adaptive(59.24), "59.2");
        assert_eq!(adaptive(5.204), "5.20");
        assert_eq!(adaptive(0.763), "0.76");
        assert_eq!(adaptive(0.0764), "0.076");
        assert_eq!(adaptive(0.0), "0.00");
    }

    #[test]
    fn thousands_are_set_apart() {
        let whole = |value| shown(value, Some(0));
        assert_eq!(whole(999.0), "999");
        assert_eq!(whole(1000.0), "1 000");
        assert_eq!(whole(1_234_567.0), "1 234 567");
        assert_eq!(whole(-123.0), "-123");
        assert_eq!(whole(-1234.0), "-1 234");
        assert_eq!(shown(1234.5, Some(1)), "1 234.5");
    }
}
