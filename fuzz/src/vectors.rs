//! `docs/formats/vectors/`: what is known to be good, for seeds and for oracles.

use serde_json::Value;

macro_rules! vectors {
    ($($name:ident)*) => {
        $(/// The file.
        pub fn $name() -> Value {
            let text = include_str!(concat!("../../docs/formats/vectors/", stringify!($name), ".json"));
            serde_json::from_str(text).expect("a vector file is JSON")
        })*
    };
}

vectors! { checkpoint command header receipt report sealed signature tlog }

/// Cases of a file: a name with their number, input, output.
pub fn cases(file: &Value) -> impl Iterator<Item = (String, &Value, &Value)> {
    let cases = file["cases"].as_array().expect("cases").iter().enumerate();
    cases.map(|(number, case)| {
        let name = text(&case["name"]).replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        (format!("{number:02}-{name}"), &case["input"], &case["output"])
    })
}

/// Text.
pub fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

/// Hex.
pub fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).expect("hex")
}

/// Hex of a fixed length.
pub fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().expect("a fixed length")
}
