//! A page that needs nothing but itself: style, library, charts and data stand in it, and it may load nothing.

use std::fmt::Write;

use super::chart::Chart;

/// uPlot: hover values, log axes and marks by its hooks, in 50 KB.
const LIBRARY: &str = include_str!("../../../assets/uplot/uPlot.iife.min.js");
const LIBRARY_STYLE: &str = include_str!("../../../assets/uplot/uPlot.min.css");
const LIBRARY_LICENCE: &str = include_str!("../../../assets/uplot/LICENSE");
const STYLE: &str = include_str!("../../../assets/report.css");
const SCRIPT: &str = include_str!("../../../assets/report.js");

/// A page in the making. Everything that is handed in as text is escaped.
pub(super) struct Page {
    title: String,
    body: String,
    charts: Vec<Chart>,
}

/// Text with what HTML would take for markup made harmless.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// How a figure or a sentence is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Warn,
    Bad,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

/// A cell of a table.
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

impl Cell {
    pub(super) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }
}

impl Page {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), body: String::new(), charts: Vec::new() }
    }

    /// The heading, with the verdict beside it.
    pub(super) fn heading(&mut self, verdict: &str, tone: Tone, subtitle: &str) {
        let (title, verdict, subtitle) = (escaped(&self.title), escaped(verdict), escaped(subtitle));
        let class = tone.class();
        self.push(&format!(
            "<header><h1>{title}</h1><span class=\"badge {class}\" id=\"verdict\">{verdict}</span></header>\n\
             <p class=\"quiet\">{subtitle}</p>\n"
        ));
    }

    /// Words on what is rehearsed.
    pub(super) fn about(&mut self, text: &str) {
        self.push(&format!("<p class=\"about\">{}</p>\n", escaped(text)));
    }

    /// A sentence that must be seen.
    pub(super) fn notice(&mut self, text: &str, tone: Tone) {
        self.push(&format!("<div class=\"box {}\">{}</div>\n", tone.class(), escaped(text)));
    }

    /// The figures that are looked for first: what it is, the figure, a remark.
    pub(super) fn tiles(&mut self, tiles: &[(&str, String, String)]) {
        self.push("<div class=\"tiles\">\n");
        for (name, figure, remark) in tiles {
            self.push(&format!(
                "<div class=\"tile\"><span>{}</span><b>{}</b><span>{}</span></div>\n",
                escaped(name),
                escaped(figure),
                escaped(remark)
            ));
        }
        self.push("</div>\n");
    }

    /// Begins a group of charts and tables that stand beside each other where there is room.
    pub(super) fn cards(&mut self, fill: impl FnOnce(&mut Self)) {
        self.push("<div class=\"cards\" style=\"margin-bottom:14px\">\n");
        fill(self);
        self.push("</div>\n");
    }

    /// A chart, unless it has nothing to show.
    pub(super) fn chart(&mut self, chart: Chart) {
        if !chart.series.iter().any(|series| series.data.iter().any(Option::is_some)) {
            return;
        }
        self.push(&format!(
            "<section class=\"card{}\" id=\"{id}\"><h2>{}</h2><p class=\"note\">{}</p>\
             <div class=\"plot\" id=\"chart-{id}\"></div></section>\n",
            if chart.wide { " wide" } else { "" },
            escaped(chart.title),
            escaped(chart.note),
            id = chart.id,
        ));
        self.charts.push(chart);
    }

    /// A table of figures; the first column is what they are of.
    pub(super) fn table(&mut self, title: &str, wide: bool, header: &[&str], rows: Vec<Vec<Cell>>) {
        if rows.is_empty() {
            return;
        }
        let wide = if wide { " wide" } else { "" };
        self.push(&format!("<section class=\"card{wide}\"><h2>{}</h2><div class=\"scroll\">", escaped(title)));
        self.push("<table class=\"figures\"><thead><tr>");
        header.iter().for_each(|name| self.push(&format!("<th>{}</th>", escaped(name))));
        self.push("</tr></thead><tbody>\n");
        for row in rows {
            self.push("<tr>");
            for cell in row {
                self.push(&format!("<td class=\"{}\">{}</td>", cell.tone.class(), escaped(&cell.text)));
            }
            self.push("</tr>\n");
        }
        self.push("</tbody></table></div></section>\n");
    }

    /// Names and what they stand for.
    pub(super) fn facts(&mut self, title: &str, facts: &[(&str, String)]) {
        self.push(&format!("<section class=\"card\"><h2>{}</h2><dl>", escaped(title)));
        for (name, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
            self.push(&format!("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(fact)));
        }
        self.push("</dl></section>\n");
    }

    /// A text that is shown when asked for.
    pub(super) fn folded(&mut self, title: &str, text: &str) {
        self.push(&format!(
            "<section class=\"card\"><details><summary>{}</summary><pre>{}</pre></details></section>\n",
            escaped(title),
            escaped(text)
        ));
    }

    /// The whole page.
    pub(super) fn finish(self) -> String {
        // In a script element only `</` and `<!--` would be taken for markup, and JSON can do without `<`.
        let data = serde_json::to_string(&self.charts).expect("charts are plain values").replace('<', "\\u003c");
        let title = escaped(&self.title);
        let mut page = String::with_capacity(LIBRARY.len() + data.len() + self.body.len() + 32_768);
        let parts = [
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'\">\n",
            "<title>",
            &title,
            "</title>\n<style>\n",
            LIBRARY_STYLE,
            "\n",
            STYLE,
            "</style>\n</head>\n<body>\n<main>\n",
            &self.body,
            "</main>\n<script type=\"application/json\" id=\"charts\">",
            &data,
            "</script>\n<script>\n/*\n",
            LIBRARY_LICENCE,
            "*/\n",
            LIBRARY,
            "\n</script>\n<script>\n",
            SCRIPT,
            "</script>\n</body>\n</html>\n",
        ];
        parts.into_iter().for_each(|part| page.push_str(part));
        page
    }

    fn push(&mut self, html: &str) {
        self.body.write_str(html).expect("a String takes everything");
    }
}
