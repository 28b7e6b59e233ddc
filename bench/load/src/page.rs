//! The page of a run: one file that loads nothing, in light and dark.

use std::collections::BTreeSet;

use bench_harness::Stages;

use crate::chart::{Chart, Line, Scale, escaped};
use crate::order::Progress;
use crate::plot::Points;
use crate::report::{Report, column, table};

const STYLE: &str = include_str!("page.css");

/// All runs of one command.
pub fn page(reports: &[Report]) -> String {
    let scenario = reports.first().map_or("", |report| report.scenario);
    let mut body = format!("<h1>ringpost bench {scenario}</h1>");
    for report in reports {
        if let Some(reason) = &report.void {
            body += &format!("<p class=\"void\">Void ({}): {}</p>", escaped(&column(report)), escaped(reason));
        }
    }
    body += &format!("<pre>{}</pre>", escaped(&table(reports)));
    for chart in [latencies(reports), arrivals(reports), connections(reports), messages(reports)] {
        body += &chart.svg();
    }
    body += &costs(reports);
    let json = serde_json::to_string_pretty(reports).expect("numbers and texts are always JSON");
    body += &format!("<details><summary>All figures and conditions</summary><pre>{}</pre></details>", escaped(&json));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>ringpost bench {scenario}</title><style>{STYLE}</style></head><body>{body}</body></html>\n"
    )
}

fn latencies(reports: &[Report]) -> Chart {
    by_quantile("Latency of messages", lines(reports, |report| report.plots.distributions.clone()))
}

fn arrivals(reports: &[Report]) -> Chart {
    by_quantile(
        "Until a connection is live",
        lines(reports, |report| vec![("until live", report.plots.arrivals.clone())]),
    )
}

/// So many of a hundred are below the line.
fn by_quantile(title: &'static str, lines: Vec<Line>) -> Chart {
    let quantiles = ["0 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"];
    let nines_max = lines.iter().flat_map(|line| &line.points).map(|point| point.0).fold(0.0, f64::max);
    let x_ticks = (0..).map(f64::from).zip(quantiles.map(str::to_owned)).take_while(|(nines, _)| *nines <= nines_max);
    Chart {
        title,
        x_title: "so many are faster",
        y_title: "ms",
        scale: Scale::Logarithmic,
        x_ticks: x_ticks.collect(),
        lines,
    }
}

fn connections(reports: &[Report]) -> Chart {
    let live = |report: &Report| {
        let points = report.plots.timeline.iter().map(|(at, progress)| (*at, progress.live as f64));
        vec![("live", points.collect())]
    };
    over_time("Connections", "connections", lines(reports, live))
}

fn messages(reports: &[Report]) -> Chart {
    let rates = |report: &Report| {
        let rate = |what: fn(&Progress) -> u64| {
            let steps = report.plots.timeline.windows(2);
            let rate = |step: &[(f64, Progress)]| {
                let [(before_s, before), (after_s, after)] = step else { return None };
                let count = what(after).checked_sub(what(before)).filter(|count| *count > 0)?;
                (after_s > before_s).then(|| (*after_s, count as f64 / (after_s - before_s)))
            };
            steps.filter_map(rate).collect()
        };
        vec![("acked", rate(|progress| progress.answered)), ("delivered", rate(|progress| progress.delivered))]
    };
    over_time("Messages", "messages a second", lines(reports, rates))
}

fn over_time(title: &'static str, y_title: &'static str, lines: Vec<Line>) -> Chart {
    let seconds: BTreeSet<u64> = lines.iter().flat_map(|line| &line.points).map(|point| point.0 as u64).collect();
    let step = seconds.len().div_ceil(10).max(1);
    let x_ticks = seconds.into_iter().skip(1).step_by(step).map(|second| (second as f64, second.to_string())).collect();
    Chart { title, x_title: "seconds", y_title, scale: Scale::FromZero, x_ticks, lines }
}

/// With the driver in front where there are several runs, of which the second is dashed.
fn lines(reports: &[Report], of_report: impl Fn(&Report) -> Vec<(&'static str, Points)>) -> Vec<Line> {
    let name = |report: &Report, name: &str| {
        if reports.len() > 1 { format!("{}: {name}", column(report)) } else { name.to_owned() }
    };
    let of_run = |(run, report): (usize, &Report)| {
        let line = |(color, (line, points)): (usize, (&str, Points))| {
            let (name, is_dashed) = (name(report, line), run % 2 == 1);
            (!points.is_empty()).then_some(Line { name, points, color, is_dashed })
        };
        of_report(report).into_iter().enumerate().filter_map(line).collect::<Vec<_>>()
    };
    reports.iter().enumerate().flat_map(of_run).collect()
}

/// A bar for each run, and below it one for the baseline.
fn costs(reports: &[Report]) -> String {
    let total = |report: &Report| report.server_cpu_us_per_message.map_or(0.0, |stages| stages.total);
    let largest = reports.iter().map(total).fold(0.0, f64::max);
    if largest <= 0.0 {
        return String::new();
    }
    let part = |name: &str, us: f64, color: usize| {
        let (width, title) = (100.0 * us / largest, format!("{name} {us:.1} µs"));
        format!("<span class=\"c{color}\" style=\"width:{width:.2}%\" title=\"{title}\">{name}</span>")
    };
    let bar = |name: &str, us: f64, parts: String| {
        format!("<div class=\"bar\"><b>{}: {us:.1} µs</b><div>{parts}</div></div>", escaped(name))
    };
    let mut bars = String::new();
    for report in reports {
        let Some(Stages { total, gateway, router, log, index }) = report.server_cpu_us_per_message else { continue };
        let other = (total - gateway - router - log - index).max(0.0);
        let parts = [("gateway", gateway), ("router", router), ("log", log), ("index", index), ("other", other)];
        let parts = parts.iter().enumerate().map(|(color, (name, us))| part(name, *us, color)).collect();
        bars += &bar(&column(report), total, parts);
        if let Some(us) = report.baseline_cpu_us_per_message {
            bars += &bar("baseline", us, part("baseline", us, 4));
        }
    }
    format!("<figure><figcaption>CPU of the server for a message</figcaption>{bars}</figure>")
}

#[cfg(test)]
mod tests {
    use bench_harness::{Conditions, Latency};

    use super::*;
    use crate::memory::MemoryPerConnection;
    use crate::plot::Plots;
    use crate::report::{Handshakes, LoadConditions};

    fn report() -> Report {
        let latency = Latency { p50: 1.0, p99: 2.0, p999: 3.0, max: 4.0 };
        let progress = |answered| Progress { live: 10, answered, delivered: answered };
        Report {
            scenario: "chat",
            driver: Some("uring".to_owned()),
            tls: Some("1.3"),
            connections_held: 10,
            connections_lost: 0,
            connections_per_second: 100.0,
            handshakes: Handshakes { full: 1, resumed: 1, tokens: 1, tickets: 1 },
            arrival_ms: latency,
            deliveries_per_second_and_core: None,
            server_cpu_us_per_connection: None,
            memory: MemoryPerConnection::default(),
            baseline_bytes_per_connection: None,
            bytes_over_baseline: None,
            after_messages: None,
            messages_per_second: Some(1_000.0),
            deliveries_per_second: Some(1_000.0),
            server_cpu_us_per_message: Some(Stages { total: 30.0, gateway: 10.0, router: 5.0, log: 4.0, index: 1.0 }),
            baseline_cpu_us_per_message: Some(12.0),
            cpu_over_baseline: Some(2.5),
            latency_ms: Some(latency),
            ack_latency_ms: Some(latency),
            latency_over_baseline: None,
            baseline_latency_ms: None,
            generator_lag_ms: Some(latency),
            lost: 0,
            duplicated: 0,
            reordered: 0,
            void: Some("it was <late>".to_owned()),
            conditions: LoadConditions {
                common: Conditions::now(true),
                driver_setting: Some("uring".to_owned()),
                tiers: "whole",
                connections: 10,
                room_size: 2,
                rate: Some(1_000.0),
                workers: 1,
                heartbeat_s: 30.0,
            },
            plots: Plots {
                arrivals: vec![(0.0, 1.0), (1.0, 2.0)],
                distributions: vec![("due until delivered", vec![(0.0, 0.5), (1.0, 1.5), (2.0, 2.0)])],
                timeline: vec![(0.5, progress(0)), (1.5, progress(900)), (2.5, progress(1_900))],
            },
        }
    }

    #[test]
    fn the_page_shows_all_and_loads_nothing() {
        let page = page(&[report()]);
        for wanted in [
            "Latency",
            "Until a connection",
            "Connections",
            "Messages",
            "CPU of the server",
            "baseline",
            "it was &lt;late&gt;",
        ] {
            assert!(page.contains(wanted), "{wanted}");
        }
        assert_eq!(page.matches("<svg").count(), 4);
        for loaded in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(loaded), "{loaded}");
        }
    }

    #[test]
    fn the_figures_that_scripts_rely_on_have_their_names() {
        let figures = serde_json::to_value(report()).expect("numbers");
        let names = "scenario driver tls connections_held server_kernel_bytes_per_connection \
                     server_user_bytes_per_connection messages_per_second server_cpu_us_per_message \
                     baseline_cpu_us_per_message latency_ms lost duplicated reordered void conditions";
        for name in names.split_whitespace() {
            assert!(figures.get(name).is_some(), "{name}");
        }
        let names = "kernel cores memory_bytes nofile memlock_bytes both_ends_here durability commit command_line";
        for name in names.split(' ') {
            assert!(figures.get("conditions").and_then(|conditions| conditions.get(name)).is_some(), "{name}");
        }
    }
}
