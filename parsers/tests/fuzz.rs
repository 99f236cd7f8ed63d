//! The fuzz bodies over their corpus, over mutations of it and random bytes.

use std::{fs, path::Path};

use proptest::prelude::*;
use remora_parsers::{Protocol, Registry, fuzz};

fn protocols() -> impl Iterator<Item = &'static Protocol> {
    Registry::BUILT_IN.protocols()
}

/// What changes where a token ends.
const MARKS: [&str; 16] =
    ["'", "\"", "$$", "--", "//", "/*", "*/", "\n", "\r", ";", "(", ")", " FROM ", ".", "0x", "e1"];

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let files: Vec<_> =
        files.map(|file| fs::read(file.expect("a file").path()).expect("readable")).collect();
    assert!(files.len() >= 4, "{name}: the corpus is missing");
    files
}

#[test]
fn the_corpus_breaks_no_law() {
    for input in corpus("conversation") {
        for protocol in protocols() {
            for (deny, cut) in [(0, 0), (0, 6), (0xff, 0), (0b1010, 2), (0b0101, 30)] {
                let mut input = input.clone();
                input.splice(..2, [deny, cut]);
                fuzz::conversation(protocol, &input);
            }
        }
    }
    for protocol in protocols() {
        corpus("transcript").iter().for_each(|input| fuzz::transcript(protocol, input));
        corpus("rule").iter().for_each(|input| fuzz::rule(protocol, input));
    }
}

#[test]
fn the_corpora_of_cassandra_break_no_law() {
    corpus("statement").iter().for_each(|input| fuzz::statement(input));
    corpus("segments").iter().for_each(|input| fuzz::segments(input));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_corpora_break_no_law(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        let corpus = corpus("conversation");
        let mut input = which.get(&corpus).clone();
        for (at, byte, how) in changes {
            let at = at.index(input.len());
            match how {
                0 => input[at] = byte,
                1 => input.insert(at, byte),
                _ => { input.remove(at); }
            }
            input.resize(input.len().max(4), b'g');
        }
        protocols().for_each(|protocol| fuzz::conversation(protocol, &input));
    }

    #[test]
    fn changed_statements_break_no_law(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..MARKS.len()), 1..5),
    ) {
        let corpus = corpus("statement");
        let mut text = which.get(&corpus).clone();
        for (at, mark) in changes {
            let at = at.index(text.len());
            text.splice(at..at, MARKS[mark].bytes());
        }
        fuzz::statement(&text);
    }

    #[test]
    fn random_bytes_break_no_law(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        protocols().for_each(|protocol| {
            fuzz::conversation(protocol, &bytes);
            fuzz::transcript(protocol, &bytes);
            fuzz::rule(protocol, &bytes);
        });
        fuzz::statement(&bytes);
        fuzz::segments(&bytes);
    }
}
