use super::browser::{Window, open};
use super::*;
use crate::report::result::example::Example;
use crate::report::result::{Check, Finding};

const DESK: Window = Window { width: 1280, dark: false };
const PHONE: Window = Window { width: 390, dark: true };

#[track_caller]
fn draws(page: &str, window: Window, charts: &str) -> String {
    let opened = open(page, window);
    assert_eq!(opened.found("errors"), "[]");
    assert_eq!(opened.found("width"), window.width.to_string(), "the window that was asked for");
    assert_eq!((opened.found("charts"), opened.found("canvases")), (charts, charts));
    let poorest: u32 = opened.found("poorest").parse().expect("a number");
    assert!(poorest >= 3, "a chart has {poorest} colours: axes alone, or nothing");
    assert_eq!(opened.found("overflow"), "0", "nothing is wider than the window");
    let dark = opened.found("back").starts_with("rgb(16,");
    assert_eq!(dark, window.dark, "{}", opened.found("back"));
    opened.dom
}

#[test]
fn a_report_opens_offline_and_draws_all_its_charts() {
    let report = Example::default().report();
    let dom = draws(&super::report(&report), DESK, "8");
    // All but the percentile curve, which has no time.
    assert!(dom.contains(" hovered=7 "), "who points at a second of one chart sees its values in all");
    let titles = [
        "Rate asked and reached",
        "Latency over time",
        "Latency by percentile",
        "Outcomes",
        "Engine lag",
        "Generator lag",
        "CPU",
        "Memory",
    ];
    for title in titles {
        assert!(dom.contains(&format!("<h2>{title}</h2>")), "{title:?} is missing");
    }
    for text in ["PASSED", "kill-node", "every acknowledged command is answered", "u-legend", "RESERVED"] {
        assert!(dom.contains(text), "{text:?} is missing");
    }
}

#[test]
fn a_report_fits_a_phone_in_the_dark() {
    draws(&super::report(&Example::default().report()), PHONE, "8");
}

#[test]
fn a_comparison_opens_offline_and_draws_all_its_charts() {
    let before = Example::default().report();
    let after = Example { slowness: 1.2, run_id: "w2m4c8", ..Example::default() }.report();
    let dom = draws(&compare(&before, &after), PHONE, "6");
    for text in ["run k3v9q1", "run w2m4c8", "worse", "p99 over time"] {
        assert!(dom.contains(text), "{text:?} is missing");
    }
}

#[test]
fn a_run_that_never_began_has_a_page_too() {
    let mut report = Example::default().report();
    report.seconds.clear();
    report.outcomes.clear();
    report.latency = crate::report::result::Latency::of_run();
    report.generator_lag = crate::report::result::Latency::of_run();
    report.find_saturation();
    let opened = open(&super::report(&report), DESK);
    assert_eq!((opened.found("errors"), opened.found("charts")), ("[]", "0"));
}

#[test]
fn what_a_page_fails_at_is_noticed() {
    let page = super::report(&Example::default().report());
    let broken = page.replacen("</main>", "</main><script>no_such_function()</script>", 1);
    assert!(open(&broken, DESK).found("errors").contains("no_such_function"));
    let greedy = page.replacen("</main>", "<img src='https://example.com/pixel.png'></main>", 1);
    assert!(open(&greedy, DESK).found("errors").contains("img-src"), "nothing is loaded from outside");
}

#[test]
fn a_page_names_nothing_outside_itself() {
    let page = super::report(&Example::default().report());
    for word in ["src=", "href=", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket"] {
        assert!(!page.contains(word), "{word:?}");
    }
    assert!(page.contains("default-src 'none'"));
    assert!(page.contains("The MIT License"), "the library's licence goes with it");
}

#[test]
fn text_from_outside_is_never_markup() {
    let evil = "</script><img onerror=alert(1)>&\"'";
    let mut report = Example::default().report();
    report.meta.description = evil.to_owned();
    report.meta.scenario = evil.to_owned();
    report.meta.scenario_toml = evil.to_owned();
    report.marks[0].what = evil.to_owned();
    report.notes.push(evil.to_owned());
    let finding = Finding { check: Check::Wrong, count: 1, examples: vec![evil.to_owned()] };
    report.verification.findings.push(finding);
    let page = super::report(&report);
    assert!(!page.contains("<img"), "markup came through");
    assert!(page.contains("&lt;/script&gt;&lt;img onerror=alert(1)&gt;&amp;&quot;&#39;"));
    let opened = open(&page, DESK);
    assert_eq!((opened.found("errors"), opened.found("charts")), ("[]", "8"));
}

#[test]
fn a_page_that_cannot_be_written_says_where() {
    let error = write(std::path::Path::new("/no/such/folder/report.html"), "").expect_err("no folder");
    assert!(error.to_string().starts_with("/no/such/folder/report.html: "), "{error}");
}

#[test]
fn a_generator_that_was_the_bottleneck_stands_out() {
    let page = super::report(&Example { unsent: 0.1, ..Example::default() }.report());
    assert!(page.contains("<div class=\"box bad\">The generator was the bottleneck"));
}
