//! A chart as one SVG element: lines over two axes, coloured by the style sheet of the page, with no script.

use std::fmt::Write;

use crate::plot::Points;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 280.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Classes of the style sheet.
const COLORS: usize = 5;

/// How values become places on the vertical axis.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    FromZero,
    Logarithmic,
}

/// See each field.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) x_title: &'static str,
    pub(crate) y_title: &'static str,
    pub(crate) scale: Scale,
    /// Values of the horizontal axis with what stands below them.
    pub(crate) x_ticks: Vec<(f64, String)>,
    pub(crate) lines: Vec<Line>,
}

/// See each field.
pub(crate) struct Line {
    pub(crate) name: String,
    /// In order of x.
    pub(crate) points: Points,
    /// Which class of the style sheet, and whether it is the dashed one.
    pub(crate) color: usize,
    pub(crate) is_dashed: bool,
}

impl Line {
    fn class(&self) -> String {
        format!("c{}{}", self.color % COLORS, if self.is_dashed { " dashed" } else { "" })
    }
}

impl Chart {
    /// Nothing where there is nothing to see.
    pub(crate) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().count() < 2 {
            return String::new();
        }
        let x_min = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let x_max = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
        let y_ticks = ticks(self.scale, points().map(|point| point.1));
        let (y_min, y_max) = (y_ticks.first().copied().unwrap_or(0.0), y_ticks.last().copied().unwrap_or(1.0));
        let x_of = |x: f64| LEFT + (x - x_min) / (x_max - x_min).max(f64::EPSILON) * (WIDTH - LEFT - RIGHT);
        let place = |y: f64| if self.scale == Scale::Logarithmic { y.max(y_min).ln() } else { y };
        let y_of = |y: f64| {
            let share = (place(y) - place(y_min)) / (place(y_max) - place(y_min)).max(f64::EPSILON);
            HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        };
        let mut svg = format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            escaped(self.title),
            escaped(self.title)
        );
        let (axis_end, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for tick in &y_ticks {
            let y = y_of(*tick);
            add(&mut svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{axis_end}\"/>"));
            add(
                &mut svg,
                format_args!("<text class=\"y\" x=\"{}\" y=\"{:.1}\">{}</text>", LEFT - 8.0, y + 4.0, short(*tick)),
            );
        }
        for (tick, text) in &self.x_ticks {
            let (x, text) = (x_of(*tick), escaped(text));
            add(&mut svg, format_args!("<text class=\"x\" x=\"{x:.1}\" y=\"{}\">{text}</text>", bottom + 16.0));
        }
        add(
            &mut svg,
            format_args!(
                "<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>",
                WIDTH / 2.0,
                HEIGHT - 6.0,
                escaped(self.x_title)
            ),
        );
        add(
            &mut svg,
            format_args!("<text class=\"unit\" x=\"{LEFT}\" y=\"{}\">{}</text>", TOP - 2.0, escaped(self.y_title)),
        );
        for line in &self.lines {
            let mut path = String::new();
            for (x, y) in &line.points {
                let step = if path.is_empty() { 'M' } else { 'L' };
                add(&mut path, format_args!("{step}{:.1} {:.1}", x_of(*x), y_of(*y)));
            }
            let (class, name) = (line.class(), escaped(&line.name));
            add(&mut svg, format_args!("<path class=\"line {class}\" d=\"{path}\"><title>{name}</title></path>"));
        }
        svg += "</svg><ul class=\"legend\">";
        for line in &self.lines {
            add(&mut svg, format_args!("<li class=\"{}\">{}</li>", line.class(), escaped(&line.name)));
        }
        svg + "</ul></figure>"
    }
}

fn add(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("writing to memory does not fail");
}

/// As text of a page.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Round numbers around all values, the first and the last at their ends.
fn ticks(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
    let max = values.clone().fold(0.0, f64::max);
    match scale {
        Scale::FromZero => {
            let step = round_up(max / 5.0);
            let count = (max / step).ceil().max(1.0) as u32;
            (0..=count).map(|index| f64::from(index) * step).collect()
        }
        Scale::Logarithmic => {
            let least = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min).min(max);
            let (low, high) = (least.max(1e-3).log10().floor() as i32, max.max(1e-3).log10().ceil() as i32);
            (low..=high.max(low + 1)).map(|power| 10_f64.powi(power)).collect()
        }
    }
}

/// To 1, 2 or 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1e-9).log10().floor());
    let digit = [1.0, 2.0, 5.0].into_iter().find(|digit| digit * power >= value);
    digit.unwrap_or(10.0) * power
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", value / 1e6),
        value if value >= 1e4 => format!("{} k", value / 1e3),
        value => format!("{}", (value * 1e6).round() / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_all_values() {
        assert_eq!(ticks(Scale::FromZero, [3.0, 47.0].into_iter()), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0]);
        assert_eq!(ticks(Scale::FromZero, [0.0, 0.0].into_iter()).len(), 2);
        assert_eq!(ticks(Scale::Logarithmic, [0.4, 47.0].into_iter()), [0.1, 1.0, 10.0, 100.0]);
    }

    #[test]
    fn every_point_lies_within_the_axes() {
        let points = vec![(0.0, 0.5), (1.0, 90.0), (2.0, 1_000.0)];
        let lines = vec![Line { name: "a <b>".to_owned(), points, color: 0, is_dashed: false }];
        let chart = Chart {
            title: "t",
            x_title: "x",
            y_title: "y",
            scale: Scale::Logarithmic,
            x_ticks: vec![(0.0, "0".to_owned())],
            lines,
        };
        let svg = chart.svg();
        let path = svg.split("d=\"M64.0 ").nth(1).and_then(|rest| rest.split('"').next()).expect("the line");
        let last = path.rsplit('L').next().expect("a point");
        assert_eq!(last, "704.0 12.0", "the largest value of the last point is in the corner: {path}");
        assert!(svg.contains("a &lt;b&gt;") && !svg.contains("a <b>"));
    }
}
