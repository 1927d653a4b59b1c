//! Chromium behind chromedriver, and what a person does with a page.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::server::{Site, eventually};

const PATIENCE: Duration = Duration::from_secs(20);
const PERIOD: Duration = Duration::from_millis(20);

/// A running chromedriver on a port of its own, in a process group with its browser.
pub(super) struct Driver {
    child: Child,
    port: String,
    /// Where the browser keeps everything.
    folder: tempfile::TempDir,
    /// Closed, it would end the driver at its next word.
    stdout: BufReader<ChildStdout>,
}

impl Driver {
    pub(super) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").env("TMPDIR", folder.path()).process_group(0);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("chromedriver, which ./tests/run installs: {error}"));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Built first, so that a driver that says nothing of use is ended, too.
        let mut driver = Self { child, port: String::new(), folder, stdout };
        let lines = driver.stdout.by_ref().lines().map_while(Result::ok);
        let started = "ChromeDriver was started successfully on port ";
        let port = lines.filter_map(|line| Some(line.strip_prefix(started)?.trim_end_matches('.').to_owned())).next();
        driver.port = port.expect("chromedriver starts");
        driver
    }

    /// The text of a file that the browser saved.
    pub(super) fn downloaded(&self, name: &str) -> String {
        let whole = |text: &String| !text.is_empty();
        eventually("the download", || fs::read_to_string(self.folder.path().join(name)).ok().filter(whole))
    }
}

/// No browser outlives its test.
impl Drop for Driver {
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The page, on a screen as narrow as a phone's.
pub(super) struct Page {
    client: Client,
    base: String,
    screenshots: PathBuf,
    taken: AtomicUsize,
}

impl Page {
    pub(super) async fn new(driver: &Driver, site: &Site, screenshots: &str) -> Self {
        let options = json!({
            // Root, as in a container, has no sandbox; and little shared memory is there.
            "args": ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
            "mobileEmulation": { "deviceMetrics": { "width": 360, "height": 740, "pixelRatio": 1.0 } },
            "prefs": { "download.default_directory": driver.folder.path() },
        });
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let mut builder = ClientBuilder::new(HttpConnector::new());
        let connected = builder.capabilities(capabilities).connect(&format!("http://127.0.0.1:{}", driver.port)).await;
        let screenshots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page").join(screenshots);
        let _ = fs::remove_dir_all(&screenshots);
        fs::create_dir_all(&screenshots).unwrap();
        let base = format!("http://{}", site.address);
        Self { client: connected.unwrap(), base, screenshots, taken: AtomicUsize::new(0) }
    }

    pub(super) async fn close(self) {
        self.client.close().await.unwrap();
    }

    /// Loads an address afresh: a path, or a link from a mail.
    pub(super) async fn open(&self, address: &str) {
        // Another `#` alone would load nothing.
        self.client.goto("about:blank").await.unwrap();
        let base = if address.starts_with('/') { &self.base } else { "" };
        self.client.goto(&format!("{base}{address}")).await.unwrap();
    }

    pub(super) async fn script(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.unwrap()
    }

    /// Waits for what an XPath names.
    async fn element(&self, path: &str) -> Element {
        match self.client.wait().at_most(PATIENCE).every(PERIOD).for_element(Locator::XPath(path)).await {
            Ok(element) => element,
            Err(error) => {
                let text = self.script("return document.body.innerText + '\\n' + location.href").await;
                self.screenshot("failed").await;
                panic!("{path}: {error} in {text}");
            }
        }
    }

    async fn screenshot(&self, name: &str) {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        let name: String = name.chars().map(|each| if each.is_alphanumeric() { each } else { '-' }).collect();
        let file = self.screenshots.join(format!("{number:02}-{name}.png"));
        fs::write(file, self.client.screenshot().await.unwrap()).unwrap();
    }

    /// Waits for a view, and looks at what has to hold in each.
    pub(super) async fn heading(&self, text: &str) {
        self.element(&format!("//section[not(contains(@class, 'wait'))]/h1[.='{text}']")).await;
        let seen = self
            .script(
                "return {
                    headings: document.querySelectorAll('h1').length,
                    focus: document.activeElement.tagName,
                    wider: document.documentElement.scrollWidth - document.documentElement.clientWidth,
                    unlabelled: [...document.querySelectorAll('input')].filter((each) => !each.labels.length).length,
                    secret: /token|uid=/.test(location.href),
                }",
            )
            .await;
        let expected = json!({ "headings": 1, "focus": "H1", "wider": 0, "unlabelled": 0, "secret": false });
        assert_eq!(seen, expected, "{text}");
        self.screenshot(text).await;
    }

    /// Waits for a text anywhere in the page.
    pub(super) async fn text(&self, text: &str) {
        self.element(&format!("//body//*[contains(text(), '{text}')]")).await;
    }

    pub(super) async fn notice(&self, text: &str) {
        self.element(&format!("//*[@role='status'][contains(., '{text}')]")).await;
        self.screenshot(text).await;
    }

    /// Waits for what a field's error says, and that the field is marked and focused.
    pub(super) async fn mistake(&self, id: &str, text: &str) {
        self.element(&format!("//*[@id='{id}-error'][contains(., '{text}')]")).await;
        self.element(&format!("//*[@id='{id}'][@aria-invalid='true']")).await;
        assert_eq!(self.script("return document.activeElement.id").await, id);
        self.screenshot(text).await;
    }

    /// Types into a field of the form that is uppermost.
    pub(super) async fn fill(&self, name: &str, value: &str) {
        let field = self.element(&format!("(//form//input[@name='{name}'])[last()]")).await;
        field.clear().await.unwrap();
        field.send_keys(value).await.unwrap();
    }

    /// Presses a button, a link or a label, once it can be.
    pub(super) async fn press(&self, label: &str) {
        let kinds = "self::button[not(@disabled)] or self::a or self::label";
        let path = format!("(//main//*[{kinds}][normalize-space()='{label}'] | //dialog//button[.='{label}'])[last()]");
        self.element(&path).await.click().await.unwrap();
    }

    /// Reads the QR code as it is drawn, as a phone's camera does.
    pub(super) async fn qr_code(&self) -> String {
        // Drawn once it is larger than a canvas begins.
        let canvas = self.element("//canvas[@role='img'][@width]").await;
        let width: usize = canvas.attr("width").await.unwrap().unwrap().parse().unwrap();
        let pixels = self
            .script(
                "const canvas = document.querySelector('canvas');
                const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
                return [...data].filter((_, index) => index % 4 === 0);",
            )
            .await;
        let pixels: Vec<u8> = serde_json::from_value(pixels).unwrap();
        let (height, pixel) = (pixels.len() / width, |x, y| pixels[y * width + x]);
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(width, height, pixel);
        image.detect_grids().first().expect("a QR code").decode().unwrap().1
    }

    /// The name and value of every cookie that the browser would send to the page's host.
    pub(super) async fn cookies(&self) -> Vec<(String, String)> {
        let cookies = self.client.get_all_cookies().await.unwrap();
        let mut pairs: Vec<_> = cookies.iter().map(|each| (each.name().to_owned(), each.value().to_owned())).collect();
        pairs.sort();
        pairs
    }

    pub(super) async fn read(&self, css: &str) -> String {
        self.client.find(Locator::Css(css)).await.unwrap().text().await.unwrap()
    }

    pub(super) async fn read_all(&self, css: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for element in self.client.find_all(Locator::Css(css)).await.unwrap() {
            texts.push(element.text().await.unwrap());
        }
        texts
    }
}
