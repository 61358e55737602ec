//! Standard output: results, for people and for scripts.

use std::fmt::Arguments;
use std::io::{self, Write};

/// Prints a line.
pub fn line(line: Arguments) -> io::Result<()> {
    unless_closed(writeln!(io::stdout(), "{line}"))
}

/// Prints a line of an output that has no end; false: nobody reads it any more.
pub fn line_while_read(line: Arguments) -> io::Result<bool> {
    match writeln!(io::stdout(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

/// Prints bytes as they are, and ends the line.
pub fn bytes(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    unless_closed(out.write_all(bytes).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// A reader that has seen enough and closed its end is no error, and must not end a command that still has something
/// to write down.
fn unless_closed(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// `println!` that does not panic: see [`line`].
macro_rules! outln {
    ($($argument:tt)*) => { $crate::out::line(format_args!($($argument)*)) };
}
