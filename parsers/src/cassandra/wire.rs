//! The notation of bodies: numbers in network order, and strings by their
//! lengths (section 3 of the specifications).

/// Why a body, or a part of it, cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// So many bytes are missing. Where all are there, the body is malformed.
    Short(usize),
    /// It is not canonical.
    Malformed(&'static str),
}

impl From<&'static str> for Flaw {
    fn from(why: &'static str) -> Self {
        Self::Malformed(why)
    }
}

impl Flaw {
    /// What is wrong when nothing more will come.
    pub(super) const fn why(self) -> &'static str {
        match self {
            Self::Short(_) => "a body that ends inside a field",
            Self::Malformed(why) => why,
        }
    }
}

/// Reads fields off the front of a body.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// How many bytes have not been read.
    pub(super) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let missing = length.saturating_sub(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Flaw::Short(missing))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let bytes = self.take(N)?;
        bytes.first_chunk().copied().ok_or(Flaw::Short(N))
    }

    /// `[byte]`
    pub(super) fn byte(&mut self) -> Result<u8, Flaw> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    /// `[short]`
    pub(super) fn short(&mut self) -> Result<u16, Flaw> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    /// `[int]`
    pub(super) fn int(&mut self) -> Result<i32, Flaw> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    /// `[string]`
    pub(super) fn string(&mut self) -> Result<&'a str, Flaw> {
        let length = self.short()?;
        text(self.take(length.into())?)
    }

    /// `[long string]` of at most `cap` bytes.
    pub(super) fn long_string(&mut self, cap: usize) -> Result<&'a str, Flaw> {
        let length = usize::try_from(self.int()?).map_err(|_| "a text of negative length")?;
        if length > cap {
            return Err(Flaw::Malformed("a query of more than 256 KiB"));
        }
        text(self.take(length)?)
    }

    /// `[short bytes]`
    pub(super) fn short_bytes(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.short()?;
        self.take(length.into())
    }

    /// `[string list]`
    pub(super) fn string_list(&mut self) -> Result<Vec<&'a str>, Flaw> {
        let count = self.short()?;
        (0..count).map(|_| self.string()).collect()
    }

    /// Nothing may follow.
    pub(super) const fn end(&self) -> Result<(), Flaw> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Flaw::Malformed("bytes behind the body's end"))
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Flaw> {
    std::str::from_utf8(bytes).map_err(|_| Flaw::Malformed("a text that is not UTF-8"))
}

/// A `[string]`; what is too long for one is cut.
pub(super) fn put_string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.get(..usize::from(length)).unwrap_or_default().as_bytes());
}
