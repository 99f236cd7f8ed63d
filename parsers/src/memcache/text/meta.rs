//! The grammar of meta commands (protocol.txt, "Meta Commands"), and which
//! older commands they amount to.
//!
//! A flag is one letter, with a token where it takes one, and stands once. The
//! flags `P` and `L` are refused: the server ignores them, but a router on the
//! way may read part of a key from them.

use super::{
    super::{
        MAX_META_FLAGS, MAX_OPAQUE_BYTES,
        question::{Dialect, Keys},
        word::{canonical, check_key, split_word},
    },
    base64,
    command::{Command, Reply, TOO_MANY, value_length},
    reply::{Expected, MetaCodes},
};

/// The flags of a command.
#[derive(Default)]
struct Flags<'a> {
    seen: Vec<u8>,
    mode: Option<&'a [u8]>,
}

impl Flags<'_> {
    fn has(&self, flag: u8) -> bool {
        self.seen.contains(&flag)
    }
}

/// Reads a line whose first word has two letters, the first of them `m`.
pub(super) fn read<'a>(name: &[u8], arguments: &'a [u8]) -> Result<Command<'a>, &'static str> {
    let (allowed, expected): (&[u8], _) = match name {
        b"mg" => (b"bcfhklOqstuvENRT", Expected::Meta(MetaCodes::Get)),
        b"ms" => (b"bcCEFIkOqsTMN", Expected::Meta(MetaCodes::Set)),
        b"md" => (b"bCEIkOqTx", Expected::Meta(MetaCodes::Delete)),
        b"ma" => (b"bckOqtvCDEJMNT", Expected::Meta(MetaCodes::Arithmetic)),
        b"me" => (b"b", Expected::Meta(MetaCodes::Debug)),
        b"mn" if arguments.is_empty() => {
            let command = Command::keyless(b"noop", Reply::Expected(Expected::Noop));
            return Ok(Command { dialect: Dialect::Meta, ..command });
        }
        b"mn" => return Err(TOO_MANY),
        _ => return Err("unknown command"),
    };
    let (key, mut rest) = split_word(arguments);
    let mut value = None;
    if name == b"ms" {
        let (length, behind) = split_word(rest);
        value = Some(value_length(length)?);
        rest = behind;
    }
    let flags = read_flags(rest, allowed)?;
    // The words of the line, and so the key, have to be words in any case.
    check_key(key)?;
    let keys = if flags.has(b'b') { Keys::Decoded(base64::decode(key)?) } else { Keys::Words(key) };
    let commands = commands(name, &flags)?;
    let reply = if flags.has(b'q') { Reply::Quiet } else { Reply::Expected(expected) };
    Ok(Command { commands, dialect: Dialect::Meta, keys, value, reply })
}

fn read_flags<'a>(line: &'a [u8], allowed: &[u8]) -> Result<Flags<'a>, &'static str> {
    let mut flags = Flags::default();
    let Some(line) = line.strip_prefix(b" ") else { return Ok(flags) };
    for word in line.split(|byte| *byte == b' ') {
        let (flag, token) = word.split_first().ok_or("an empty flag")?;
        if !allowed.contains(flag) {
            return Err("a flag that the command does not have");
        }
        if flags.has(*flag) {
            return Err("a flag stands twice");
        }
        if flags.seen.len() >= MAX_META_FLAGS {
            return Err("too many flags");
        }
        check_token(*flag, token)?;
        if *flag == b'M' {
            flags.mode = Some(token);
        }
        flags.seen.push(*flag);
    }
    Ok(flags)
}

/// The token of a flag, where it has one, the one way that every server reads.
fn check_token(flag: u8, token: &[u8]) -> Result<(), &'static str> {
    let right = match flag {
        b'O' => {
            (1..=MAX_OPAQUE_BYTES).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic)
        }
        b'F' => canonical::<u32>(token).is_some(),
        b'N' | b'R' | b'T' => canonical::<i32>(token).is_some(),
        b'C' | b'D' | b'E' | b'J' => canonical::<u64>(token).is_some(),
        b'M' => token.len() == 1,
        _ => token.is_empty(),
    };
    if right { Ok(()) } else { Err("a flag's token is not canonical") }
}

/// The commands whose effects a meta command has.
fn commands(name: &[u8], flags: &Flags<'_>) -> Result<&'static [u8], &'static str> {
    match name {
        b"mg" => Ok(get(flags)),
        b"ms" => set(flags),
        // Marking an item stale is as good as deleting it; `T` keeps it longer.
        b"md" if flags.has(b'T') => Ok(b"delete touch"),
        b"md" => Ok(b"delete"),
        b"ma" => arithmetic(flags),
        _ => Ok(b"me"),
    }
}

/// `T` sets the expiry and `R` takes the right to recache: both touch the item.
/// `N` makes one where there is none.
fn get(flags: &Flags<'_>) -> &'static [u8] {
    let touches = flags.has(b'T') || flags.has(b'R');
    match (touches, flags.has(b'c'), flags.has(b'N')) {
        (false, false, false) => b"get",
        (false, true, false) => b"gets",
        (true, false, false) => b"gat",
        (true, true, false) => b"gats",
        (false, false, true) => b"get add",
        (false, true, true) => b"gets add",
        (true, false, true) => b"gat add",
        (true, true, true) => b"gats add",
    }
}

/// `C` compares, as `cas` does; `N` makes an item to append to.
fn set(flags: &Flags<'_>) -> Result<&'static [u8], &'static str> {
    Ok(match (flags.mode.unwrap_or(b"S"), flags.has(b'C'), flags.has(b'N')) {
        (b"S", false, _) => b"set",
        (b"S", true, _) => b"cas",
        (b"E", false, _) => b"add",
        (b"E", true, _) => b"add cas",
        (b"R", false, _) => b"replace",
        (b"R", true, _) => b"replace cas",
        (b"A", false, false) => b"append",
        (b"A", true, false) => b"append cas",
        (b"A", false, true) => b"append add",
        (b"A", true, true) => b"append add cas",
        (b"P", false, false) => b"prepend",
        (b"P", true, false) => b"prepend cas",
        (b"P", false, true) => b"prepend add",
        (b"P", true, true) => b"prepend add cas",
        _ => return Err("a mode that ms does not have"),
    })
}

fn arithmetic(flags: &Flags<'_>) -> Result<&'static [u8], &'static str> {
    let up = match flags.mode {
        None | Some(b"I" | b"+") => true,
        Some(b"D" | b"-") => false,
        Some(_) => return Err("a mode that ma does not have"),
    };
    Ok(match (up, flags.has(b'T'), flags.has(b'N')) {
        (true, false, false) => b"incr",
        (true, true, false) => b"incr touch",
        (true, false, true) => b"incr add",
        (true, true, true) => b"incr touch add",
        (false, false, false) => b"decr",
        (false, true, false) => b"decr touch",
        (false, false, true) => b"decr add",
        (false, true, true) => b"decr touch add",
    })
}

#[cfg(test)]
#[path = "meta_tests.rs"]
mod tests;
