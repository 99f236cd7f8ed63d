//! What is a quantity, and how two of them compare.

use super::Quantity;

#[test]
fn different_spellings_are_the_same_amount() {
    let same = [
        ("1", "1000m"),
        ("1", "+1.000"),
        ("0.5", ".5"),
        ("500m", "5e-1"),
        ("2.", "2"),
        ("1Ki", "1024"),
        ("1k", "1e3"),
        ("1E3", "1k"),
        ("64Mi", "67108864"),
        ("0.5Gi", "512Mi"),
        ("1E", "1e18"),
        ("1500000n", "1.5m"),
        // Finer than a billionth: rounded up.
        ("0.1n", "1n"),
    ];
    for (one, other) in same {
        assert!(Quantity::parse(one).is_some(), "{one}");
        assert_eq!(Quantity::parse(one), Quantity::parse(other), "{one} and {other}");
    }
    assert_eq!(Quantity::parse("250m"), Some(Quantity::thousandths(250)));
    assert_eq!(Quantity::parse("8Mi"), Some(Quantity::mebi(8)));
}

#[test]
fn amounts_are_ordered() {
    let rising = ["0", "1n", "1u", "1m", "0.01", "1", "1k", "1Ki", "1M", "1Mi", "1G", "1Ei", "9E"];
    let rising = rising.map(|text| Quantity::parse(text).expect(text));
    assert!(rising.is_sorted_by(|one, next| one < next));
}

#[test]
fn anything_else_is_no_quantity() {
    for text in [
        "",
        ".",
        "m",
        "Mi",
        "-1",
        "1 Mi",
        " 1",
        "1mi",
        "1K",
        "1ki",
        "1MB",
        "1.2.3",
        "1e",
        "1e+",
        "0x10",
        "1,5",
        "١",
        "1e99",
        "1e-99",
        "1e2147483648",
        "99999999999999999999999999999999999999999",
        "340282366920938463463374607431768211455",
    ] {
        assert_eq!(Quantity::parse(text), None, "{text}");
    }
}
