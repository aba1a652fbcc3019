//! The program while it serves, and a client that shows what it sends to the byte.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Stdio};
use std::time::Duration;

use crate::command::Machine;

/// What the answers' bodies are recognised by.
pub const INDEX: &str = "<!doctype html><title>a page</title>";

/// A small page as `npm run build` lays it out, with a secret beside it.
pub fn make_page(machine: &Machine) {
    let write = |name: &str, bytes: &[u8]| {
        let path = machine.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("secret.txt", b"secret");
    write("page/index.html", INDEX.as_bytes());
    write("page/.hidden", b"secret");
    write("page/assets/index-B1x_9aZq.js", b"plain");
    write("page/assets/index-B1x_9aZq.js.br", b"brotli");
    write("page/assets/index-B1x_9aZq.js.gz", b"gzipped");
    write("page/assets/core-00c0ffee.wasm", b"\0asm");
    write("page/assets/logo.svg", b"<svg/>");
    write("page/sw.js", b"worker");
    write("page/app.webmanifest", b"{}");
    write("page/models/demo.json", b"{}");
    write("page/models/demo/model.safetensors", b"weights");
    write("page/a photo.webp", b"photo");
}

/// The program while it serves, ended when the test is over.
pub struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub address: String,
}

impl Server {
    pub fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let mut command = machine.command();
        command.arg("serve").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.strip_prefix("lowshot: http://").and_then(|rest| rest.strip_suffix("/  (Ctrl-C ends it)\n"));
        let address = address.unwrap_or_else(|| panic!("no address: {line:?}")).to_owned();
        Self { child, stdout, address }
    }

    /// Serves [`make_page`]'s page on any port.
    pub fn with_page(machine: &Machine) -> Self {
        make_page(machine);
        Self::start(machine, &["--page", "page", "--port", "0"])
    }

    pub fn port(&self) -> u16 {
        self.address.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    pub fn ask(&self, method: &str, address: &str, headers: &[(&str, &str)]) -> Answer {
        let port = self.port();
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let more: Vec<String> = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let host = format!("Host: 127.0.0.1:{port}\r\nConnection: close\r\n");
        write!(stream, "{method} {address} HTTP/1.1\r\n{host}{}\r\n", more.concat()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    pub fn get(&self, address: &str) -> Answer {
        self.ask("GET", address, &[])
    }

    /// Tells the program to stop; returns its exit code and all that it still printed.
    #[cfg(unix)]
    pub fn stop(mut self, signal: &str) -> (Option<i32>, String, String) {
        let told = std::process::Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        let code = self.child.wait().unwrap().code();
        let (mut out, mut err) = (String::new(), String::new());
        self.stdout.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (code, out, err)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        };
        Self { status, headers: lines.map(header).collect(), body: body.to_owned() }
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(there, _)| there == name);
        found.map_or_else(|| panic!("no {name}: {self:?}"), |(_, value)| value.as_str())
    }

    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(there, _)| there == name)
    }
}
