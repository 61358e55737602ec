//! The two charts: acknowledgements and latency over time.

use std::fmt::Write;

use kho::page::step;

use super::super::report::{Bucket, Latency, Report};
use super::super::verdict::ACKNOWLEDGE_MS;

const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
/// Two rows of labels.
const TOP: f64 = 44.0;
const BOTTOM: f64 = 34.0;
/// Labels closer than this would overlap.
const LABEL_ROOM: f64 = 150.0;

struct Frame<'a> {
    report: &'a Report,
    /// Length of the time line, milliseconds.
    end: f64,
    svg: String,
}

impl<'a> Frame<'a> {
    fn new(report: &'a Report, id: &str, title: &str, description: &str) -> Self {
        let timeline = &report.timeline;
        let end = (timeline.buckets.len() as u64 * timeline.bucket_ms) as f64;
        let svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>"
        );
        Self { report, end, svg }
    }

    fn x(&self, ms: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (ms / self.end).clamp(0.0, 1.0)
    }

    fn y(share: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share.clamp(0.0, 1.0)
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // writing to a string does not fail
        let _ = self.svg.write_fmt(element);
    }

    fn across(&mut self, share: f64, label: &str) {
        let (y, right) = (Self::y(share), WIDTH - RIGHT);
        self.add(format_args!("<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
        let (x, y) = (LEFT - 8.0, y + 4.0);
        self.add(format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>"));
    }

    /// The longest gap, below all else.
    fn gap(&mut self) {
        let (from, to) = (self.x(self.report.measured.gap_begun_ms), self.x(self.report.measured.gap_ended_ms));
        let (width, height) = ((to - from).max(1.0), HEIGHT - TOP - BOTTOM);
        self.add(format_args!(
            "<rect class=\"gap\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{width:.1}\" height=\"{height}\"/>"
        ));
    }

    fn seconds(&mut self) {
        let every = step(self.end / 1000.0, 12.0).max(1.0);
        let mut second = 0.0;
        while second * 1000.0 <= self.end {
            let (x, y) = (self.x(second * 1000.0), HEIGHT - BOTTOM + 18.0);
            self.add(format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{second} s</text>"));
            second += every;
        }
    }

    /// What was done to the cluster, above all else.
    fn marks(mut self) -> String {
        let fault = &self.report.fault;
        let leader = fault.new_leader_seen_after_fault_ms.map(|after| fault.begun_ms + after);
        let new = fault.leader_after.map_or(String::new(), |node| format!("node {node} leads"));
        let marks = [
            Some((fault.begun_ms, "fault".to_owned())),
            leader.map(|at| (at, new)),
            fault.mended_ms.map(|at| (at, "mended".to_owned())),
        ];
        let mut last = f64::MIN;
        let mut row = 0.0;
        for (at, label) in marks.into_iter().flatten() {
            let x = self.x(at);
            row = if x - last < LABEL_ROOM && row == 0.0 { 1.0 } else { 0.0 };
            last = x;
            let (top, bottom, y) = (TOP - 26.0 + 18.0 * row, HEIGHT - BOTTOM, TOP - 28.0 + 18.0 * row);
            self.add(format_args!("<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>"));
            let near_end = x > WIDTH - LABEL_ROOM;
            let (x, anchor) = if near_end { (x - 5.0, "end") } else { (x + 5.0, "start") };
            let y = y + 10.0;
            self.add(format_args!(
                "<text class=\"label\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{label}</text>"
            ));
        }
        self.svg.push_str("</svg>");
        self.svg
    }
}

/// Acknowledgements in each piece of time, and what was not acknowledged on top.
pub fn throughput(report: &Report) -> String {
    let piece = report.timeline.bucket_ms as f64;
    let bad = |bucket: &Bucket| (bucket.failed + bucket.unknown) as f64;
    let tallest =
        report.timeline.buckets.iter().map(|bucket| bucket.acknowledged as f64 + bad(bucket)).fold(1.0, f64::max);
    let every = step(tallest, 4.0).max(1.0);
    let top = (tallest / every).ceil() * every;
    let description = "Bars: acknowledgements per piece of time. Vertical lines: fault, new leader, mending. The shaded part \
                       is the longest time without an acknowledgement. All values stand in the table of the time line below.";
    let mut frame = Frame::new(report, "throughput", "Acknowledgements over time", description);
    frame.gap();
    let mut line = 0.0;
    while line <= top {
        frame.across(line / top, &format!("{line}"));
        line += every;
    }
    for bucket in &report.timeline.buckets {
        let (from, to) = (frame.x(bucket.at_ms as f64), frame.x(bucket.at_ms as f64 + piece));
        let width = (to - from - 0.6).max(0.4);
        let good = bucket.acknowledged as f64 / top;
        let (x, y, base) = (from + 0.3, Frame::y(good), Frame::y(0.0));
        let height = base - y;
        if bucket.acknowledged > 0 {
            frame.add(format_args!(
                "<rect class=\"bar\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            ));
        }
        if bad(bucket) > 0.0 {
            let above = Frame::y(good + bad(bucket) / top);
            let height = y - above;
            frame.add(format_args!(
                "<rect class=\"bad\" x=\"{x:.1}\" y=\"{above:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
            ));
        }
    }
    frame.seconds();
    frame.marks()
}

/// Median, 99th percentile and slowest of each piece of time, on a logarithmic scale.
pub fn latency(report: &Report) -> String {
    let slowest = report.timeline.buckets.iter().filter_map(|bucket| bucket.latency).map(|one| one.max_ms);
    let decades = slowest.fold(ACKNOWLEDGE_MS * 1.5, f64::max).log10().ceil();
    // logarithmic, from 1 ms: what is quicker lies on the axis
    let share = |ms: f64| ms.max(1.0).log10() / decades;
    let description = "Lines: median, 99th percentile and slowest acknowledgement per piece of time, logarithmic scale, with \
                       the limit of 3 s. All values stand in the table of the time line below.";
    let mut frame = Frame::new(report, "latency", "Latency over time", description);
    frame.gap();
    for decade in 0..=decades as u32 {
        let ms = 10_u64.pow(decade);
        frame.across(share(ms as f64), &if ms < 1000 { format!("{ms} ms") } else { format!("{} s", ms / 1000) });
    }
    let (y, right) = (Frame::y(share(ACKNOWLEDGE_MS)), WIDTH - RIGHT);
    frame.add(format_args!("<line class=\"limit\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
    let (x, y) = (right - 4.0, y - 5.0);
    frame.add(format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">3 s, R-B1</text>"));
    for class in ["max", "p99", "p50"] {
        let of = |latency: Latency| match class {
            "max" => latency.max_ms,
            "p99" => latency.p99_ms,
            _ => latency.p50_ms,
        };
        let path = path(&frame, |latency| Frame::y(share(of(latency))));
        frame.add(format_args!("<path class=\"line {class}\" d=\"{path}\"/>"));
    }
    frame.seconds();
    frame.marks()
}

/// Through the middle of each piece that has a value; broken where there is none.
fn path(frame: &Frame, y: impl Fn(Latency) -> f64) -> String {
    let half = frame.report.timeline.bucket_ms as f64 / 2.0;
    let mut path = String::new();
    let mut pen_down = false;
    for bucket in &frame.report.timeline.buckets {
        match bucket.latency {
            Some(latency) => {
                let (x, y) = (frame.x(bucket.at_ms as f64 + half), y(latency));
                // a lone point is a line of no length with round ends
                let _ = if pen_down { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h0") };
                pen_down = true;
            }
            None => pen_down = false,
        }
    }
    path
}
