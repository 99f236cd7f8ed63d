//! The administrator's commands: none names a key, so no key rule covers one.

use super::{
    super::word::{canonical, split_word},
    command::{Command, Reply, TOO_MANY, answered},
    reply::{DumpEnd, Expected},
};

const MALFORMED: &str = "not the arguments that the command takes";

/// Reads a line whose first word is no command of a key.
pub(super) fn read<'a>(name: &[u8], arguments: &[u8]) -> Result<Command<'a>, &'static str> {
    let ok = Expected::Line;
    let (name, reply) = match name {
        b"flush_all" => (&b"flush_all"[..], flush_all(arguments)?),
        b"verbosity" => (&b"verbosity"[..], one_number(arguments)?),
        b"cache_memlimit" => (&b"cache_memlimit"[..], one_number(arguments)?),
        b"stats" => {
            // libmemcached writes `stats ` with nothing behind the space.
            let name = statistics(arguments.strip_prefix(b" ").unwrap_or_default())?;
            (name, Reply::Expected(Expected::Statistics))
        }
        b"slabs" => (&b"slabs"[..], slabs(arguments).map(|()| Reply::Expected(ok))?),
        b"lru" => (&b"lru"[..], lru(arguments).map(|()| Reply::Expected(ok))?),
        b"lru_crawler" => crawler(arguments)?,
        b"watch" => (&b"watch"[..], watch(arguments)?),
        b"shutdown" => match arguments {
            b"" | b" graceful" => (&b"shutdown"[..], Reply::Expected(ok)),
            _ => return Err(MALFORMED),
        },
        _ => return Err("unknown command"),
    };
    Ok(Command::keyless(name, reply))
}

/// `flush_all [delay] [noreply]`
fn flush_all(arguments: &[u8]) -> Result<Reply, &'static str> {
    match arguments {
        b"" | b" noreply" => answered(arguments, Expected::Line),
        // As libmemcached writes it.
        b" " => Ok(Reply::Expected(Expected::Line)),
        _ => one_number(arguments),
    }
}

/// `NAME number [noreply]`
fn one_number(arguments: &[u8]) -> Result<Reply, &'static str> {
    let (number, rest) = split_word(arguments);
    canonical::<u32>(number).filter(|n| i32::try_from(*n).is_ok()).ok_or(MALFORMED)?;
    answered(rest, Expected::Line)
}

/// What `stats` with these words behind it is called in rules: what tells of
/// keys or clients, or changes something, has a name of its own. The binary
/// protocol has the same words in its key.
pub(in super::super) fn statistics(arguments: &[u8]) -> Result<&'static [u8], &'static str> {
    match arguments {
        b"" | b"settings" | b"items" | b"slabs" | b"sizes" | b"extstore" | b"proxy" => Ok(b"stats"),
        b"conns" => Ok(b"stats_conns"),
        b"reset" => Ok(b"stats_reset"),
        b"detail on" | b"detail off" | b"detail dump" => Ok(b"stats_detail"),
        _ => {
            let numbers = arguments.strip_prefix(b"cachedump ").ok_or(MALFORMED)?;
            let mut numbers = words(numbers);
            numbers.next().and_then(canonical::<u32>).ok_or(MALFORMED)?;
            numbers.next().and_then(canonical::<u32>).ok_or(MALFORMED)?;
            if numbers.next().is_some() { Err(TOO_MANY) } else { Ok(b"stats_cachedump") }
        }
    }
}

fn slabs(arguments: &[u8]) -> Result<(), &'static str> {
    if let Some(classes) = arguments.strip_prefix(b" reassign ") {
        let mut classes = words(classes);
        classes.next().and_then(canonical::<i32>).ok_or(MALFORMED)?;
        classes.next().and_then(canonical::<i32>).ok_or(MALFORMED)?;
        return if classes.next().is_some() { Err(TOO_MANY) } else { Ok(()) };
    }
    match arguments {
        b" automove 0" | b" automove 1" | b" automove 2" => Ok(()),
        _ => Err(MALFORMED),
    }
}

fn lru(arguments: &[u8]) -> Result<(), &'static str> {
    if let Some(shares) = arguments.strip_prefix(b" tune ") {
        let (mut shares, mut count) = (words(shares), 0u8);
        let numeric = shares.all(|word| {
            count = count.saturating_add(1);
            if count <= 2 { canonical::<u32>(word).is_some() } else { is_decimal(word) }
        });
        return if numeric && count == 4 { Ok(()) } else { Err(MALFORMED) };
    }
    if let Some(ttl) = arguments.strip_prefix(b" temp_ttl ") {
        return canonical::<i32>(ttl).map(|_| ()).ok_or(MALFORMED);
    }
    match arguments {
        b" mode flat" | b" mode segmented" => Ok(()),
        _ => Err(MALFORMED),
    }
}

/// `1`, `0.2`: digits, and perhaps a point and more digits.
fn is_decimal(word: &[u8]) -> bool {
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = word.split(|byte| *byte == b'.');
    let (whole, fraction, more) = (parts.next(), parts.next(), parts.next());
    whole.is_some_and(digits) && fraction.is_none_or(digits) && more.is_none()
}

/// `metadump` and `mgdump` tell all keys: they have a name of their own.
fn crawler(arguments: &[u8]) -> Result<(&'static [u8], Reply), &'static str> {
    const NAME: &[u8] = b"lru_crawler";
    const DUMP: &[u8] = b"lru_crawler_dump";
    let argument =
        |name: &[u8]| arguments.strip_prefix(b" ")?.strip_prefix(name)?.strip_prefix(b" ");
    let line = Reply::Expected(Expected::Line);
    if argument(b"metadump").is_some_and(|classes| is_classes(classes, true)) {
        return Ok((DUMP, Reply::Expected(Expected::Dump(DumpEnd::Metadump))));
    }
    if argument(b"mgdump").is_some_and(|classes| is_classes(classes, true)) {
        return Ok((DUMP, Reply::Expected(Expected::Dump(DumpEnd::Mgdump))));
    }
    let known = matches!(arguments, b" enable" | b" disable")
        || argument(b"crawl").is_some_and(|classes| is_classes(classes, false))
        || argument(b"sleep").is_some_and(|n| canonical::<u32>(n).is_some())
        || argument(b"tocrawl").is_some_and(|n| canonical::<u32>(n).is_some());
    if known { Ok((NAME, line)) } else { Err(MALFORMED) }
}

/// `all`, for dumps `hash` too, or slab classes with commas between them.
fn is_classes(word: &[u8], dump: bool) -> bool {
    word == b"all"
        || (dump && word == b"hash")
        || word.split(|byte| *byte == b',').all(|class| canonical::<u8>(class).is_some())
}

/// `watch` and kinds of events.
fn watch(arguments: &[u8]) -> Result<Reply, &'static str> {
    let known = |word: &[u8]| {
        matches!(
            word,
            b"fetchers"
                | b"mutations"
                | b"evictions"
                | b"connevents"
                | b"proxyevents"
                | b"proxyuser"
                | b"deletions"
        )
    };
    match arguments.strip_prefix(b" ") {
        None if arguments.is_empty() => Ok(Reply::Stream),
        Some(kinds) if words(kinds).all(known) => Ok(Reply::Stream),
        _ => Err(MALFORMED),
    }
}

/// Every word, empty ones too: two spaces in a row make one.
fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| *byte == b' ')
}
