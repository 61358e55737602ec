//! Planted bugs, for the tests that must catch them: feature `mutants`, chosen by the environment variable
//! `KHO_MUTANT`. Without the feature nothing of this is compiled in.

/// `no-sealing`: parts are stored as they came. `make test-confidential` must fail with it.
#[cfg(feature = "mutants")]
pub(crate) fn no_sealing() -> bool {
    static CHOSEN: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var_os("KHO_MUTANT").is_some_and(|mutant| mutant == "no-sealing"))
}

#[cfg(not(feature = "mutants"))]
pub(crate) const fn no_sealing() -> bool {
    false
}
