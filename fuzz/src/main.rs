//! `kho-fuzz TARGET FILE...` runs inputs, as to replay a finding; `kho-fuzz --seeds` writes the seeds; without arguments: the
//! targets. Built by `scripts/fuzz`, it is libFuzzer's main program for the target in `KHO_FUZZ_TARGET`.
#![cfg_attr(feature = "libfuzzer", no_main)]

#[cfg(feature = "libfuzzer")]
fn chosen() -> kho_fuzz::Run {
    static CHOSEN: std::sync::OnceLock<kho_fuzz::Run> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let name = std::env::var("KHO_FUZZ_TARGET").unwrap_or_default();
        let target = kho_fuzz::target(&name);
        target.unwrap_or_else(|| panic!("KHO_FUZZ_TARGET: expected the name of a target, found {name:?}")).run
    })
}

#[cfg(feature = "libfuzzer")]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    chosen()(bytes);
});

#[cfg(not(feature = "libfuzzer"))]
fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        None => kho_fuzz::TARGETS.iter().for_each(|target| println!("{:<16} {}", target.name, target.about)),
        Some((first, [])) if first == "--seeds" => kho_fuzz::seeds::write()?,
        Some((name, files)) => {
            let target = kho_fuzz::target(name);
            let target =
                target.ok_or_else(|| std::io::Error::other(format!("no target {name}; kho-fuzz lists them")))?;
            for file in files {
                let taken = (target.run)(&std::fs::read(file)?);
                println!("{file}: {}", if taken { "taken" } else { "refused" });
            }
        }
    }
    Ok(())
}
