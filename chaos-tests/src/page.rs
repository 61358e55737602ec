//! Reports in a browser.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// Debian's.
pub const BROWSER: &str = "chromium";
/// Words that would load or run something.
pub const ACTIVE: &[&str] =
    &["<script", "src=", "href=", "url(", "@import", "<iframe", "<object", "onload", "http:", "https:"];

/// Opens a page without a window and returns what the browser prints.
pub fn browse(arguments: &[&str], page: &Path, profile: &Path) -> Result<String> {
    let output = Command::new("timeout")
        .args(["120", BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{BROWSER}: {}: {text}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// `data-of` -> value and text of each `<data>` in a serialised DOM.
pub fn shown(dom: &str) -> BTreeMap<String, (String, String)> {
    let mut shown = BTreeMap::new();
    for part in dom.split("<data ").skip(1) {
        let attribute = |name: &str| {
            let (_, rest) = part.split_once(&format!("{name}=\"")).unwrap_or_default();
            rest.split_once('"').map_or(String::new(), |(value, _)| value.to_owned())
        };
        let text = part.split_once('>').and_then(|(_, rest)| rest.split_once('<')).map_or("", |(text, _)| text);
        shown.insert(attribute("data-of"), (attribute("value"), text.to_owned()));
    }
    shown
}
