//! A headless Chromium that opens a page and says what became of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Names under which a Chromium is found, the usual ones first.
const NAMES: [&str; 5] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];

/// Virtual time that a page gets to settle in, in milliseconds. It passes as fast as the page allows.
const SETTLE_MS: u32 = 20_000;

/// Counts what is painted once everything has been drawn, and writes it where the document's text can be searched.
const PROBE: &str = r#"<script>
addEventListener("load", () => setTimeout(() => {
  const said = document.createElement("output");
  const painted = [...document.querySelectorAll("canvas")].map((canvas) => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    const colours = new Set();
    for (let i = 0; i < pixels.length; i += 4) if (pixels[i + 3] === 255) colours.add(pixels.slice(i, i + 3).join());
    return colours.size;
  });
  const root = document.documentElement;
  const over = document.querySelector(".u-over");
  if (over) {
    const box = over.getBoundingClientRect();
    const at = { clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true };
    over.dispatchEvent(new MouseEvent("mouseenter", at));
    over.dispatchEvent(new MouseEvent("mousemove", at));
  }
  const legends = [...document.querySelectorAll(".u-legend")];
  const hovered = legends.filter((legend) => /[0-9]/.test(legend.querySelector(".u-value")?.textContent)).length;
  said.textContent = "PRO" + "BE charts=" + root.dataset.drawn + " canvases=" + painted.length
    + " poorest=" + Math.min(...painted) + " overflow=" + (root.scrollWidth - root.clientWidth)
    + " width=" + root.clientWidth + " hovered=" + hovered + " errors=" + JSON.stringify(window.failures).replaceAll(" ", "_")
    + " back=" + getComputedStyle(document.body).backgroundColor + " ";
  document.body.append(said);
  parent.postMessage("settled", "*");
}, 500));
</script>"#;

/// Before anything else runs: what fails is kept.
const LISTEN: &str = r#"<head><script>
window.failures = [];
addEventListener("error", (event) => failures.push(String(event.message)), true);
addEventListener("securitypolicyviolation", (event) => failures.push(event.violatedDirective));
</script>"#;

/// A window.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) width: u32,
    pub(super) dark: bool,
}

/// What became of a page.
pub(super) struct Opened {
    /// The document after its scripts ran.
    pub(super) dom: String,
}

impl Opened {
    /// What the probe found under a name.
    #[track_caller]
    pub(super) fn found(&self, name: &str) -> &str {
        let probe = self.dom.rsplit_once("PROBE ").map(|(_, probe)| probe);
        let probe = probe.unwrap_or_else(|| panic!("the page's scripts did not run to their end"));
        let (_, value) = probe.split_once(&format!("{name}=")).unwrap_or_else(|| panic!("{name} in {probe}"));
        value.split(' ').next().unwrap_or_default()
    }
}

/// Opens a page without a network, and waits until it has settled.
pub(super) fn open(page: &str, window: Window) -> Opened {
    let folder = tempfile::tempdir().expect("a folder");
    let page = page.replacen("<head>", LISTEN, 1).replacen("</body>", &format!("{PROBE}</body>"), 1);
    // A window is never narrower than 500 pixels, but a frame in it is.
    let frame = folder.path().join("frame.html");
    fs::write(&frame, frame_of(&page, window.width)).expect("a frame");

    let mut command = Command::new(chromium());
    command
        .args(["--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions"])
        .args(["--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND", "--dump-dom"])
        .arg(format!("--blink-settings=preferredColorScheme={}", if window.dark { 0 } else { 1 }))
        .arg(format!("--window-size={},2400", window.width.max(600)))
        .arg(format!("--virtual-time-budget={SETTLE_MS}"))
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()));
    if is_root() {
        // Chromium's sandbox refuses to work as root.
        command.arg("--no-sandbox");
    }
    let output = command.arg(&frame).stderr(Stdio::piped()).output().expect("Chromium starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "Chromium failed: {said}");
    Opened { dom: String::from_utf8_lossy(&output.stdout).into_owned() }
}

/// A document with the page in a frame of this width, which hands the page's document out when it has settled.
fn frame_of(page: &str, width: u32) -> String {
    let quoted = page.replace('&', "&amp;").replace('"', "&quot;");
    format!(
        r#"<!doctype html><body style="margin:0"><iframe id="page" style="width:{width}px;height:2400px;border:0"
srcdoc="{quoted}"></iframe><script>
addEventListener("message", () => {{
  document.body.innerHTML = document.getElementById("page").contentDocument.documentElement.outerHTML;
}});
</script></body>"#
    )
}

/// The Chromium to use. Debian's is installed where that is possible, because a check that is left out proves nothing.
fn chromium() -> &'static str {
    static FOUND: OnceLock<Option<String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let find = || NAMES.into_iter().find(|name| runs(name)).map(str::to_owned);
        std::env::var("CHROMIUM").ok().or_else(find).or_else(|| {
            let install = "apt-get update && apt-get install --yes --no-install-recommends chromium";
            let installed =
                is_root() && Command::new("sh").args(["-c", install]).output().is_ok_and(|o| o.status.success());
            installed.then(find).flatten()
        })
    });
    found.as_deref().expect("no Chromium here: install one (Debian: apt-get install chromium), or name it in $CHROMIUM")
}

fn runs(program: &str) -> bool {
    let mut version = Command::new(program);
    version.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    if is_root() {
        version.arg("--no-sandbox");
    }
    version.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
