//! What expressions match, and which are refused.

use super::*;
use proptest::prelude::*;

fn matches(pattern: &str, value: &str) -> bool {
    Pattern::new(pattern).expect(pattern).matches(value.as_bytes())
}

fn refusal(pattern: &str) -> String {
    Pattern::new(pattern).expect_err(pattern).to_string()
}

#[test]
fn the_whole_value_must_match() {
    for (pattern, value, expected) in [
        ("/public/.*", "/public/x", true),
        ("/public/.*", "/secret/public/x", false),
        ("public", "public2", false),
        ("a|ab", "ab", true),
        ("a|b", "ab", false),
        ("^s$", "s", true),
        ("s.*", "s\nt", false),
        ("(?s)s.*", "s\nt", true),
        ("(?m)^s$", "s\nt", false),
        ("", "", true),
        ("", "a", false),
    ] {
        assert_eq!(matches(pattern, value), expected, "{pattern} on {value:?}");
    }
}

#[test]
fn a_brace_that_is_no_repetition_is_a_character() {
    for (pattern, value, expected) in [
        ("/api/v1/items/{id}", "/api/v1/items/{id}", true),
        ("/api/v1/items/{id}", "/api/v1/items/7", false),
        ("x{2}", "xx", true),
        ("x{2,}", "xxxx", true),
        ("x{2,3}", "xxxx", false),
        ("x{,3}", "x{,3}", true),
        ("x{", "x{", true),
        ("x}", "x}", true),
        ("{}", "{}", true),
        (r"\{2}", "{2}", true),
        (r"\x{41}", "A", true),
        ("[{]2}", "{2}", true),
        (r"\b{start}", "{start}", false),
    ] {
        assert_eq!(matches(pattern, value), expected, "{pattern} on {value:?}");
    }
}

#[test]
fn classes_are_read_as_re2_reads_them() {
    for (pattern, value, expected) in [
        ("[[a]", "[", true),
        ("[a&&b]", "&", true),
        ("[a~~b]", "~", true),
        ("[]a]", "]", true),
        ("[^]a]", "]", false),
        ("[[:alpha:]_]+", "ab_c", true),
        ("[[:alpha:]]+", "ab1", false),
        (r"[\]]", "]", true),
        (r"\<a\>", "<a>", true),
        (r"\<a\>", "a", false),
    ] {
        assert_eq!(matches(pattern, value), expected, "{pattern} on {value:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_matched_too() {
    let any = Pattern::new("key.*").expect("pattern");
    assert!(any.matches(b"key\xff\x00"));
    assert!(!any.matches(b"\xffkey"));
    let word = Pattern::new(r"\w+").expect("pattern");
    assert!(word.matches(b"abc_9"));
    assert!(!word.matches("é".as_bytes()));
}

#[test]
fn what_is_no_expression_is_refused_in_one_line() {
    for (pattern, expected) in [
        ("(", "not a regular expression: unclosed group"),
        ("a)|(b", "not a regular expression: unopened group"),
        ("[a", "not a regular expression: unclosed character class"),
        ("*", "not a regular expression: repetition operator missing expression"),
        ("{2}", "not a regular expression: repetition operator missing expression"),
        (
            "a\\",
            "not a regular expression: incomplete escape sequence, reached end of pattern prematurely",
        ),
        ("(?x)a", "not a regular expression: `(?x`: the flags are i, m, s and U"),
        ("(?=a)", "not a regular expression: `(?=a`: the flags are i, m, s and U"),
        ("[a--b]", "not a regular expression: `--` in a character class: write `\\-` for a hyphen"),
    ] {
        assert_eq!(refusal(pattern), expected, "{pattern}");
    }
}

#[test]
fn the_length_of_an_expression_has_a_cap() {
    let longest = "a".repeat(MAX_PATTERN_BYTES);
    assert!(matches(&longest, &longest));
    assert_eq!(Pattern::new(&format!("{longest}a")).err(), Some(PatternError::TooLong(1025)));
}

#[test]
fn an_expression_that_grows_is_refused() {
    assert_eq!(Pattern::new("((a{100}){100}){100}").err(), Some(PatternError::TooLarge));
    let nested = format!("{}a{}", "(".repeat(60), ")".repeat(60));
    assert!(refusal(&nested).contains("nested"), "{}", refusal(&nested));
}

proptest! {
    /// Whatever the expression is, matching is matching the whole.
    #[test]
    fn a_match_is_a_full_match(pattern in "[ab|()*.{}2]{0,8}", value in "[ab{}2]{0,6}") {
        if let Ok(compiled) = Pattern::new(&pattern) {
            let wrapped = Pattern::new(&format!("(?:{pattern})")).expect("wraps");
            prop_assert_eq!(compiled.matches(value.as_bytes()), wrapped.matches(value.as_bytes()));
            let longer = format!("{value}#");
            prop_assert!(!compiled.matches(longer.as_bytes()) || pattern.contains('.'));
        }
    }

    /// Text that is quoted matches itself alone.
    #[test]
    fn quoted_text_matches_itself(text in "\\PC{0,12}", other in "\\PC{0,12}") {
        let quoted: String = text.chars().flat_map(|c| {
            let special = r"\.+*?()|[]{}^$".contains(c);
            special.then_some('\\').into_iter().chain([c])
        }).collect();
        let pattern = Pattern::new(&quoted).expect("quoted text is an expression");
        prop_assert!(pattern.matches(text.as_bytes()));
        prop_assert_eq!(pattern.matches(other.as_bytes()), text == other);
    }

    /// No text makes the compiler panic or take long.
    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,40}") {
        let _ = Pattern::new(&text);
    }
}
