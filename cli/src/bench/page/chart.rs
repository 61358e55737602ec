//! Charts as SVG: bars with their spread, and lines.

use std::fmt::{Arguments, Write};

use crate::page::{escape, step};

const WIDTH: f64 = 1000.0;
/// Names stand left of bars.
const NAMES: f64 = 330.0;
/// Values stand right of them.
const VALUES: f64 = 190.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
/// Colours of the style sheet.
const COLOURS: usize = 8;

/// A drawing under way.
struct Drawing(String);

impl Drawing {
    fn new(height: f64, id: &str, title: &str, description: &str) -> Self {
        let (title, description) = (escape(title), escape(description));
        Self(format!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>"
        ))
    }

    fn add(&mut self, element: Arguments) {
        // writing to a string does not fail
        let _ = self.0.write_fmt(element);
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>");
        self.0
    }
}

/// Part of a bar.
pub struct Part {
    /// How long.
    pub value: f64,
    /// Class that fills it.
    pub class: &'static str,
}

/// A bar of parts, and how far rounds were from its end.
pub struct Bar {
    /// Left of it.
    pub name: String,
    /// Number of its colour.
    pub colour: usize,
    /// From the left on.
    pub parts: Vec<Part>,
    /// Lowest and highest; none where there was one round.
    pub spread: Option<(f64, f64)>,
    /// Right of it.
    pub value: String,
}

/// A number of an axis, short.
fn short(value: f64) -> String {
    if value >= 1_000.0 { format!("{}k", value / 1_000.0) } else { format!("{value}") }
}

/// Bars below each other.
pub fn bars(id: &str, title: &str, description: &str, bars: &[Bar]) -> String {
    let length = |bar: &Bar| bar.parts.iter().map(|part| part.value).sum::<f64>();
    let longest = bars
        .iter()
        .map(|bar| bar.spread.map_or(0.0, |spread| spread.1).max(length(bar)))
        .fold(f64::MIN_POSITIVE, f64::max);
    let every = step(longest, 6.0);
    let (top, bottom) = (8.0, 8.0 + ROW * bars.len() as f64);
    let room = WIDTH - NAMES - VALUES;
    let x = |value: f64| NAMES + room * value / longest;
    let mut drawing = Drawing::new(bottom + 26.0, id, title, description);
    let mut line = 0.0;
    while line <= longest {
        let (at, label, y) = (x(line), short(line), bottom + 18.0);
        drawing.add(format_args!("<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"));
        drawing.add(format_args!("<text x=\"{at:.1}\" y=\"{y}\" text-anchor=\"middle\">{label}</text>"));
        line += every;
    }
    for (row, bar) in bars.iter().enumerate() {
        let y = top + ROW * row as f64 + (ROW - BAR) / 2.0;
        let (middle, text) = (y + BAR / 2.0, y + BAR - 4.0);
        let (name, value, colour) = (escape(&bar.name), escape(&bar.value), bar.colour % COLOURS);
        let before = NAMES - 8.0;
        drawing.add(format_args!(
            "<text class=\"name\" x=\"{before}\" y=\"{text}\" text-anchor=\"end\">{name}</text><g class=\"c{colour}\">"
        ));
        let mut from = 0.0;
        for part in &bar.parts {
            let (at, width, class) = (x(from), room * part.value / longest, part.class);
            drawing.add(format_args!(
                "<rect class=\"c {class}\" x=\"{at:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/>"
            ));
            from += part.value;
        }
        drawing.add(format_args!("</g>"));
        if let Some((low, high)) = bar.spread {
            let (low, high) = (x(low), x(high));
            drawing.add(format_args!(
                "<path class=\"whisker\" d=\"M{low:.1} {middle}H{high:.1}M{low:.1} {y}v{BAR}M{high:.1} {y}v{BAR}\"/>"
            ));
        }
        let end = x(bar.spread.map_or(0.0, |spread| spread.1).max(from)) + 8.0;
        drawing.add(format_args!("<text class=\"value\" x=\"{end:.1}\" y=\"{text}\">{value}</text>"));
    }
    drawing.end()
}

/// A line through points, both from 0 to 1.
pub struct Line {
    /// In the key.
    pub name: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// A line of an axis: where, from 0 to 1, and what it is called.
pub type Tick = (f64, String);

/// Lines over a frame of axes.
pub fn lines(id: &str, title: &str, description: &str, (across, up): (&[Tick], &[Tick]), lines: &[Line]) -> String {
    const HEIGHT: f64 = 320.0;
    const LEFT: f64 = 72.0;
    const RIGHT: f64 = 24.0;
    const TOP: f64 = 12.0;
    const BOTTOM: f64 = 34.0;
    let x = |share: f64| LEFT + (WIDTH - LEFT - RIGHT) * share.clamp(0.0, 1.0);
    let y = |share: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share.clamp(0.0, 1.0);
    let mut drawing = Drawing::new(HEIGHT, id, title, description);
    for (share, label) in up {
        let (at, right, left, text) = (y(*share), WIDTH - RIGHT, LEFT - 8.0, y(*share) + 4.0);
        drawing.add(format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"));
        drawing.add(format_args!("<text x=\"{left}\" y=\"{text:.1}\" text-anchor=\"end\">{label}</text>"));
    }
    for (share, label) in across {
        let (at, bottom, text) = (x(*share), HEIGHT - BOTTOM, HEIGHT - BOTTOM + 18.0);
        drawing.add(format_args!("<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>"));
        drawing.add(format_args!("<text x=\"{at:.1}\" y=\"{text}\" text-anchor=\"middle\">{label}</text>"));
    }
    for (number, line) in lines.iter().enumerate() {
        let mut path = String::new();
        for (place, (share, value)) in line.points.iter().enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if place == 0 { "M" } else { "L" }, x(*share), y(*value));
        }
        let (colour, dash) = (number % COLOURS, number / COLOURS);
        drawing.add(format_args!("<g class=\"c{colour}\"><path class=\"c dash{dash}\" d=\"{path}\"/></g>"));
    }
    let svg = drawing.end();
    format!(
        "{}<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">{svg}</div>",
        keys(lines),
        escape(title)
    )
}

fn keys(lines: &[Line]) -> String {
    let mut keys = "<div class=\"keys\">".to_owned();
    for (number, line) in lines.iter().enumerate() {
        let (colour, dash, name) = (number % COLOURS, number / COLOURS, escape(&line.name));
        let _ = write!(
            keys,
            "<span class=\"key\"><svg viewBox=\"0 0 32 12\" aria-hidden=\"true\"><g class=\"c{colour}\"><path class=\"c dash{dash}\" \
             d=\"M1 6H31\"/></g></svg>{name}</span>"
        );
    }
    keys + "</div>"
}

/// Ticks of a logarithmic axis of milliseconds, and the share of a value on it.
pub fn milliseconds(low: f64, high: f64) -> (Vec<Tick>, impl Fn(f64) -> f64) {
    let low = low.max(0.01).log10().floor();
    let high = high.max(0.1).log10().ceil().max(low + 1.0);
    let decades = (high - low) as i32;
    let label = |power: f64| match 10_f64.powf(power) {
        ms if ms >= 1_000.0 => format!("{:.0} s", ms / 1_000.0),
        ms if ms >= 1.0 => format!("{ms:.0} ms"),
        ms => format!("{ms:.*} ms", -power as usize),
    };
    let ticks = (0..=decades).map(|step| (f64::from(step) / (high - low), label(low + f64::from(step)))).collect();
    (ticks, move |ms: f64| (ms.max(0.01).log10() - low) / (high - low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_of_milliseconds_is_logarithmic() {
        let (ticks, share) = milliseconds(0.3, 2_500.0);
        let labels: Vec<&str> = ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]);
        assert!((share(1.0) - 0.2).abs() < 1e-9 && (share(10_000.0) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn bars_are_as_long_as_they_say() {
        let bar = |value, spread| Bar {
            name: "a < b".to_owned(),
            colour: 0,
            parts: vec![Part { value, class: "user" }],
            spread,
            value: "x".to_owned(),
        };
        let svg = bars("t", "Title", "Words", &[bar(50.0, None), bar(80.0, Some((60.0, 100.0)))]);
        assert!(svg.contains("width=\"240.0\"") && svg.contains("width=\"384.0\""), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("M618.0") && svg.contains("H810.0"), "{svg}");
    }
}
