//! What expressions match, and which are refused.

use super::*;
use proptest::prelude::*;
use regex_automata::nfa::thompson::pikevm::PikeVM;

/// An expression by itself, whatever it is, run state by state.
pub(crate) fn alone(source: &str) -> PikeVM {
    let text = format!(r"\A(?:{})\z", translate::translate(source).expect("translates"));
    PikeVM::new_from_nfa(compile(&[&text], None).expect("compiles")).expect("builds")
}

impl Pattern {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => **text == *value,
            Self::Prefix(text) => value.starts_with(text),
            Self::LinePrefix(text) => {
                value.strip_prefix(&**text).is_some_and(|rest| !rest.contains(&b'\n'))
            }
            Self::Program(program) => {
                let set = PatternSet::new(std::slice::from_ref(program)).expect("compiles");
                set.matches(value) == [0]
            }
        }
    }
}

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
fn what_is_text_needs_no_program() {
    let exact = |text: &str| Pattern::Exact(text.as_bytes().into());
    let line = |text: &str| Pattern::LinePrefix(text.as_bytes().into());
    for (source, expected) in [
        ("plans", exact("plans")),
        ("^plans$", exact("plans")),
        (r"(a\.b\{1})", exact("a.b{1}")),
        ("plans/.*", line("plans/")),
        ("^plans/.*$", line("plans/")),
        ("plans/.*?", line("plans/")),
        ("(?s)plans/.*", Pattern::Prefix(b"plans/"[..].into())),
        (".*", line("")),
    ] {
        assert_eq!(Pattern::new(source), Ok(expected), "{source}");
    }
    for source in ["a|b", "plans/.+", "(?i)plans", ".*plans", "a.*b", "(?m)^a$", "a{2,3}", ""] {
        assert!(matches!(Pattern::new(source), Ok(Pattern::Program(_))), "{source}");
    }
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

    /// However an expression is looked up, alone or in a set, it means the same.
    #[test]
    fn all_ways_of_matching_agree(
        patterns in prop::collection::vec("(\\(\\?s\\))?\\^?[ab/]{0,3}(\\.\\*|[ab|()*.+?]{0,5})\\$?", 1..5),
        values in prop::collection::vec("[ab/\n]{0,6}", 1..6),
    ) {
        let known: Vec<&String> =
            patterns.iter().filter(|source| Pattern::new(source).is_ok()).collect();
        let (mut sources, mut programs) = (Vec::new(), Vec::new());
        for source in &known {
            if let Ok(Pattern::Program(program)) = Pattern::new(source) {
                sources.push(source.as_str());
                programs.push(program);
            }
        }
        let set = PatternSet::new(&programs).expect("compiles");
        for value in values.iter().map(String::as_bytes) {
            let means = |source: &str| {
                let vm = alone(source);
                vm.is_match(&mut vm.create_cache(), value)
            };
            for source in &known {
                let pattern = Pattern::new(source).expect("read before");
                prop_assert_eq!(pattern.matches(value), means(source), "{} on {:?}", source, value);
            }
            let places = (0_u32..).zip(&sources).filter(|(_, source)| means(source));
            let expected: Vec<u32> = places.map(|(place, _)| place).collect();
            prop_assert_eq!(set.matches(value), expected, "{:?} on {:?}", sources, value);
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
