//! The programs of one slice, run as one.

use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

use regex_automata::{
    Input, MatchKind, PatternID, PatternSet as Matched,
    hybrid::dfa::{Cache, DFA},
    nfa::thompson::pikevm::PikeVM,
    util::pool::Pool,
};

use super::{PatternError, Program, compile};

/// What the programs may use to run faster, in bytes, once for each thread.
const CACHE_BYTES: usize = 1 << 20;

/// The programs, which read a value once for all of them.
///
/// States of the automaton are made as values need them, and forgotten when
/// they take more than [`CACHE_BYTES`]: a slice whose expressions nobody asks
/// about has no state at all.
#[derive(Default)]
pub(crate) struct PatternSet(Option<Automaton>);

struct Automaton {
    dfa: DFA,
    scratch: Pool<Scratch, NewScratch>,
    /// The same, slower. The automaton gives up on nothing that it is
    /// configured for; were it to, a rule that denies must still match.
    simulation: PikeVM,
}

/// What one thread needs to run the programs.
struct Scratch {
    cache: Cache,
    matched: Matched,
}

type NewScratch = Box<dyn Fn() -> Scratch + Send + Sync + UnwindSafe + RefUnwindSafe>;

impl PatternSet {
    /// Compiles programs together; each is known by its place from then on.
    pub(crate) fn new(programs: &[Program]) -> Result<Self, PatternError> {
        if programs.is_empty() {
            return Ok(Self::default());
        }
        let texts: Vec<_> = programs.iter().map(|program| program.text.as_str()).collect();
        // Their sizes have been added up before.
        let nfa = compile(&texts, None)?;
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(CACHE_BYTES)
            .skip_cache_capacity_check(true);
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone());
        let dfa = dfa.map_err(|_| PatternError::TogetherTooLarge)?;
        let config = PikeVM::config().match_kind(MatchKind::All);
        let simulation = PikeVM::builder().configure(config).build_from_nfa(nfa);
        let simulation = simulation.map_err(|_| PatternError::TogetherTooLarge)?;
        let maker = dfa.clone();
        let scratch: NewScratch = Box::new(move || Scratch {
            cache: maker.create_cache(),
            matched: Matched::new(maker.pattern_len()),
        });
        Ok(Self(Some(Automaton { dfa, scratch: Pool::new(scratch), simulation })))
    }

    /// The places of the programs that match the whole of `value`, ascending.
    pub(crate) fn matches(&self, value: &[u8]) -> Vec<u32> {
        let place = |id: PatternID| u32::try_from(id.as_usize()).ok();
        self.run(value, |matched| matched.iter().take(matched.len()).filter_map(place).collect())
    }

    /// Keeps those of the `programs` that match the whole of `value` too.
    pub(crate) fn retain(&self, value: &[u8], programs: &mut Vec<u32>) {
        let id = |program: &u32| PatternID::new(usize::try_from(*program).ok()?).ok();
        self.run(value, |matched| {
            programs.retain(|program| id(program).is_some_and(|id| matched.contains(id)));
        });
    }

    /// Tells which programs match a value. Without any there is nothing to tell.
    fn run<T: Default>(&self, value: &[u8], tell: impl FnOnce(&Matched) -> T) -> T {
        let Some(automaton) = &self.0 else { return T::default() };
        let mut scratch = automaton.scratch.get();
        let Scratch { cache, matched } = &mut *scratch;
        matched.clear();
        let input = Input::new(value);
        if automaton.dfa.try_which_overlapping_matches(cache, &input, matched).is_err() {
            matched.clear();
            let vm = &automaton.simulation;
            vm.which_overlapping_matches(&mut vm.create_cache(), &input, matched);
        }
        tell(matched)
    }
}

impl fmt::Debug for PatternSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.as_ref().map_or(0, |automaton| automaton.dfa.pattern_len());
        write!(f, "PatternSet({count})")
    }
}
