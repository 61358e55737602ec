//! The process's own `getrandom` must be found by those who look it up by name, too.

fn main() {
    println!("cargo:rustc-link-arg-bins=-rdynamic");
}
