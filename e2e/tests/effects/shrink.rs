//! Makes a failing case small, and prints it as a transcript.

/// Takes bytes away for as long as the case still fails.
pub(crate) fn shrink(case: &[Vec<u8>], fails: &mut dyn FnMut(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
    let mut bytes = case.concat();
    if !fails(&[bytes.clone()]) {
        // It takes the cuts to fail: they stay.
        return case.to_vec();
    }
    let mut step = bytes.len() / 2;
    while step > 0 {
        let mut at = 0;
        while at < bytes.len() {
            let end = (at + step).min(bytes.len());
            let less = [&bytes[..at], &bytes[end..]].concat();
            if !less.is_empty() && fails(std::slice::from_ref(&less)) {
                bytes = less;
            } else {
                at = end;
            }
        }
        step /= 2;
    }
    vec![bytes]
}

/// The arrivals, as `remora policy test --transcript` reads them.
pub(crate) fn transcript(case: &[Vec<u8>]) -> String {
    let mut text = String::from("# l7proto: memcache\n");
    for arrival in case {
        text += "> \"";
        for byte in arrival {
            match byte {
                b'\r' => text += "\\r",
                b'\n' => text += "\\n",
                b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
                b' '..=b'~' => text.push(char::from(*byte)),
                _ => text += &format!("\\x{byte:02x}"),
            }
        }
        text += "\"\n";
    }
    text
}
