//! One case a run: everything is made ready first, then a function whose name begins with `measured` does the work, and
//! callgrind counts between its first and its last instruction. `benches/instructions.sh` runs all cases and compares.
//!
//! Nothing is drawn, and no time is read: a case executes the same instructions each time.

mod cases;
mod made;

use std::process::ExitCode;

use cases::CASES;

fn main() -> ExitCode {
    let asked = std::env::args().nth(1);
    match asked.as_deref() {
        Some("--list") => {
            for case in CASES {
                println!("{}\t{}\t{}", case.name, case.of, case.what);
            }
            ExitCode::SUCCESS
        }
        Some(name) => match CASES.iter().find(|case| case.name == name) {
            Some(case) => {
                (case.run)();
                ExitCode::SUCCESS
            }
            None => {
                eprintln!("no case {name:?}; --list names them");
                ExitCode::from(2)
            }
        },
        None => {
            eprintln!("usage: kho-instructions CASE | --list");
            ExitCode::from(2)
        }
    }
}
