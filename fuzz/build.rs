//! Names the switch of `scripts/fuzz`.

fn main() {
    println!("cargo::rustc-check-cfg=cfg(kho_fuzz)");
}
