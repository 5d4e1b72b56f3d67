//! The productions of RFC 3261 §25.1 that several files here share.

/// `token` characters.
pub(super) fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c)
}

/// A non-empty `token`.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

/// `text` trimmed, with blanks in place of characters that could end a line: a value built from
/// foreign text must never become a second header.
pub(super) fn one_line(text: &str) -> String {
    text.trim()
        .chars()
        .map(|c| {
            if matches!(c, '\r' | '\n' | '\0') {
                ' '
            } else {
                c
            }
        })
        .collect()
}

/// Splits `text` at each `separator` outside quoted strings and angle brackets. An unfinished quote
/// or bracket extends to the end of the text.
pub(super) fn split_outside(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let whole = rest?;
        let end = find_outside(whole, separator);
        rest = end.map(|at| &whole[at + 1..]);
        Some(&whole[..end.unwrap_or(whole.len())])
    })
}

/// The position of the first `wanted` (an ASCII octet) outside quotes and angle brackets.
pub(super) fn find_outside(text: &str, wanted: u8) -> Option<usize> {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for (at, octet) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted {
            match octet {
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
        } else if bracketed {
            bracketed = octet != b'>';
        } else if octet == wanted {
            return Some(at);
        } else if octet == b'"' {
            quoted = true;
        } else if octet == b'<' {
            bracketed = true;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_quotes_and_brackets_do_not_separate() {
        let text = r#""a,\",b" <sip:x,y@z>, <sip:q>;p="1,2" ,, last"#;
        let parts: Vec<_> = split_outside(text, b',').map(str::trim).collect();
        assert_eq!(
            parts,
            [r#""a,\",b" <sip:x,y@z>"#, r#"<sip:q>;p="1,2""#, "", "last"]
        );
    }

    #[test]
    fn an_unfinished_quote_holds_the_rest() {
        let parts: Vec<_> = split_outside(r#"a, "b, c"#, b',').collect();
        assert_eq!(parts, ["a", r#" "b, c"#]);
    }
}
