//! The fuzz bodies over their corpus, over mutations of it and random bytes.

use std::{fs, path::Path};

use proptest::prelude::*;
use remora_parsers::{Protocol, Registry, fuzz};

fn protocols() -> impl Iterator<Item = &'static Protocol> {
    Registry::BUILT_IN.protocols()
}

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
    fn random_bytes_break_no_law(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        protocols().for_each(|protocol| {
            fuzz::conversation(protocol, &bytes);
            fuzz::transcript(protocol, &bytes);
            fuzz::rule(protocol, &bytes);
        });
    }
}
