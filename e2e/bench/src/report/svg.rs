//! Bar charts as SVG: text and rectangles, which any browser and any page of a
//! repository shows, without a library or a script.

use std::fmt::Write as _;

const WIDTH: f64 = 910.0;
const LABELS: f64 = 300.0;
const VALUES: f64 = 190.0;
const ROW: f64 = 22.0;
const HEAD: f64 = 34.0;
const GAP: f64 = 16.0;

/// A figure of several partners.
#[derive(Debug)]
pub(super) struct Chart {
    pub(super) title: String,
    /// What it means to be long.
    pub(super) note: &'static str,
    pub(super) bars: Vec<Bar>,
}

/// A partner's value.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) label: String,
    pub(super) value: f64,
    /// The smallest and the largest of all rounds.
    pub(super) low: f64,
    pub(super) high: f64,
    /// The value in words.
    pub(super) text: String,
    pub(super) is_ours: bool,
}

/// Charts below each other, as one file.
pub(super) fn stack(charts: &[Chart]) -> String {
    let (mut body, mut top) = (String::new(), 0.0);
    for chart in charts {
        chart.draw(&mut body, top);
        top += chart.height() + GAP;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{top}\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

impl Chart {
    #[expect(clippy::cast_precision_loss, reason = "a handful of rows")]
    fn height(&self) -> f64 {
        HEAD + ROW * self.bars.len() as f64
    }

    fn draw(&self, to: &mut String, top: f64) {
        // A string takes everything.
        let _ = writeln!(
            to,
            "<text x=\"8\" y=\"{y}\" font-weight=\"600\" fill=\"#1c2733\">{title} <tspan \
             font-weight=\"400\" fill=\"#667\">· {note}</tspan></text>",
            y = top + 20.0,
            title = escape(&self.title),
            note = self.note
        );
        let longest = self.bars.iter().map(|bar| bar.high).fold(0.0, f64::max);
        let mut y = top + HEAD;
        for bar in &self.bars {
            bar.draw(to, y, longest);
            y += ROW;
        }
    }
}

impl Bar {
    fn draw(&self, to: &mut String, y: f64, longest: f64) {
        let room = WIDTH - LABELS - VALUES;
        // What was added may be less than nothing: such a bar has no length.
        let length = |value: f64| {
            if longest > 0.0 { (value / longest * room).clamp(0.0, room) } else { 0.0 }
        };
        let colour = if self.is_ours { "#1767a8" } else { "#a9b4c0" };
        let (bar, low, high) = (length(self.value), length(self.low), length(self.high));
        let _ = writeln!(
            to,
            "<text x=\"{label}\" y=\"{text}\" text-anchor=\"end\" fill=\"#1c2733\">{name}</text>\
             <rect x=\"{LABELS}\" y=\"{rect:.1}\" width=\"{bar:.1}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/>\
             <path d=\"M{from:.1} {middle:.1}H{until:.1}\" stroke=\"#1c2733\"/>\
             <text x=\"{value:.1}\" y=\"{text}\" fill=\"#445\">{words}</text>",
            label = LABELS - 8.0,
            text = y + 13.0,
            name = escape(&self.label),
            rect = y + 2.0,
            from = LABELS + low,
            until = LABELS + high,
            middle = y + 9.0,
            value = LABELS + high.max(bar) + 8.0,
            words = escape(&self.text)
        );
    }
}

/// Text in SVG and HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
