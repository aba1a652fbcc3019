//! Text in HTML: escaping, and numbers as people read them.

use super::statistics::Estimate;

/// Text as HTML shows it literally, in elements and in attributes of either quotation marks. Control characters, which HTML
/// forbids, become the replacement character.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The first `most` characters, escaped, with an ellipsis where there are more.
pub fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return escape(text);
    }
    let start: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", escape(start.trim_end()))
}

/// A fraction in percent, without the sign.
pub fn percent(fraction: f64) -> String {
    format!("{:.1}", fraction * 100.0)
}

/// A difference of fractions in percentage points, with its sign. What rounds to nothing has none.
pub fn points(difference: f64) -> String {
    let text = format!("{:+.1}", difference * 100.0);
    if matches!(text.as_str(), "+0.0" | "-0.0") { "0.0".into() } else { text.replace('-', "−") }
}

/// A mean in percent, with its spread in smaller type.
pub fn estimate(estimate: Estimate) -> String {
    match estimate.std {
        Some(std) => format!("{}<small> ± {}</small>", percent(estimate.mean), percent(std)),
        None => percent(estimate.mean),
    }
}

/// A p-value to two digits; very small ones as a bound.
pub fn p_value(p: f64) -> String {
    match p {
        p if p < 0.0001 => "&lt; 0.0001".into(),
        p if p < 0.001 => format!("{p:.4}"),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// 131329 → 131,329.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A time to about three digits, in the unit that fits.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.0095 => format!("{:.1} ms", s * 1e3),
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 99.5 => format!("{s:.1} s"),
        s if s < 5970.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// What `render` makes of each item, one after the other.
pub fn each<T>(items: impl IntoIterator<Item = T>, render: impl Fn(T) -> String) -> String {
    items.into_iter().fold(String::new(), |html, item| html + &render(item))
}

/// "1 run", "2 runs".
pub fn count(number: usize, one: &str) -> String {
    format!("{} {one}{}", thousands(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_markup() {
        assert_eq!(escape("<script>\"&'\u{0}"), "&lt;script&gt;&quot;&amp;&#39;\u{fffd}");
        assert_eq!(shortened("<<<<<", 4), "&lt;&lt;&lt;…");
        assert_eq!(shortened("<<<<", 4), "&lt;&lt;&lt;&lt;");
    }

    #[test]
    fn numbers_as_people_read_them() {
        assert_eq!([points(0.0213), points(-0.0004), points(-0.25)], ["+2.1", "0.0", "−25.0"]);
        assert_eq!([thousands(0), thousands(999), thousands(131_329)], ["0", "999", "131,329"]);
        assert_eq!(
            [duration(0.0004), duration(0.5), duration(61.0), duration(7200.0)],
            ["0.4 ms", "500 ms", "61.0 s", "2.0 h"]
        );
        assert_eq!([p_value(0.00002), p_value(0.0312), p_value(0.5)], ["&lt; 0.0001", "0.031", "0.50"]);
        assert_eq!([count(1, "run"), count(1200, "run")], ["1 run", "1,200 runs"]);
    }
}
