//! The pod's service-account token.

use std::{fs::File, io::Read as _, path::Path};

use tonic::metadata::{Ascii, MetadataValue};

/// More than any token has.
const MAX_BYTES: u64 = 16 << 10;

/// What goes into `authorization`. It does not show in logs.
pub(super) type Token = MetadataValue<Ascii>;

/// Reads the token from its file.
///
/// # Errors
/// Why there is none. Never shows what the file holds.
pub(super) fn read(path: &Path) -> Result<Token, String> {
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text)).map_err(
        |error| format!("no token: {}: {error}; see that it is projected there", path.display()),
    )?;
    let text = text.trim();
    let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || bytes > MAX_BYTES || !plain {
        return Err(format!("no token: {} holds something else", path.display()));
    }
    let mut token: Token = format!("Bearer {text}")
        .parse()
        .map_err(|_| format!("no token: {} holds something else", path.display()))?;
    token.set_sensitive(true);
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> Result<Token, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        read(file.path())
    }

    #[test]
    fn a_token_is_read_without_the_lines_end_and_never_shown() {
        let token = file(b"a.b-c_d\n").unwrap();
        assert_eq!(token.to_str().unwrap(), "Bearer a.b-c_d");
        assert!(!format!("{token:?}").contains("a.b-c_d"), "{token:?}");
    }

    #[test]
    fn what_is_no_token_is_refused_unseen() {
        let long = vec![b'a'; 16 << 10];
        assert!(file(&long).is_ok());
        for bytes in [b"".as_slice(), b"\n", b"secret\nsecret", b"secret\x01", b"secret\xff"] {
            let error = file(bytes).unwrap_err();
            assert!(error.starts_with("no token: ") && !error.contains("secret"), "{error}");
        }
        assert!(file(&[long.as_slice(), b"a"].concat()).is_err());
        assert!(read(Path::new("/nonexistent")).unwrap_err().contains("No such file"));
    }
}
