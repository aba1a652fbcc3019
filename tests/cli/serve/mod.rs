//! `lowshot serve`: what a browser is given, and what it is not.

mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use self::server::{INDEX, Server, make_page};
use crate::command::{Machine, repository};

#[test]
fn the_page_is_served_with_types_that_browsers_need() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    for (address, kind, body) in [
        ("/", "text/html; charset=utf-8", INDEX),
        ("/index.html", "text/html; charset=utf-8", INDEX),
        ("/?source=pwa", "text/html; charset=utf-8", INDEX),
        ("/assets/index-B1x_9aZq.js", "text/javascript; charset=utf-8", "plain"),
        ("/assets/core-00c0ffee.wasm", "application/wasm", "\0asm"),
        ("/assets/logo.svg", "image/svg+xml", "<svg/>"),
        ("/app.webmanifest", "application/manifest+json", "{}"),
        ("/models/demo.json", "application/json", "{}"),
        ("/models/demo/model.safetensors", "application/octet-stream", "weights"),
        ("/a%20photo.webp", "image/webp", "photo"),
    ] {
        let answer = server.get(address);
        assert_eq!(answer.status, 200, "{address}: {answer:?}");
        assert_eq!(answer.header("content-type"), kind, "{address}");
        assert_eq!(answer.header("content-length"), body.len().to_string(), "{address}");
        assert_eq!(answer.body, body, "{address}");
    }
}

#[test]
fn only_files_with_a_hash_in_their_name_are_kept_without_asking() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    let kept = "public, max-age=31536000, immutable";
    assert_eq!(server.get("/assets/index-B1x_9aZq.js").header("cache-control"), kept);
    assert_eq!(server.get("/assets/core-00c0ffee.wasm").header("cache-control"), kept);
    for address in ["/", "/sw.js", "/assets/logo.svg", "/models/demo/model.safetensors"] {
        assert_eq!(server.get(address).header("cache-control"), "no-cache", "{address}");
    }
}

#[test]
fn a_browser_gets_the_best_compressed_form_that_it_takes() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    let address = "/assets/index-B1x_9aZq.js";
    let mut tags = Vec::new();
    for (accepted, encoding, body) in [
        ("gzip, deflate, br, zstd", Some("br"), "brotli"),
        ("gzip;q=1.0, br;q=0.5", Some("br"), "brotli"),
        ("br;q=0, GZIP", Some("gzip"), "gzipped"),
        ("gzip", Some("gzip"), "gzipped"),
        ("deflate", None, "plain"),
        ("", None, "plain"),
    ] {
        let answer = server.ask("GET", address, &[("Accept-Encoding", accepted)]);
        assert_eq!(answer.body, body, "{accepted}");
        assert_eq!(answer.has("content-encoding"), encoding.is_some(), "{accepted}");
        if let Some(encoding) = encoding {
            assert_eq!(answer.header("content-encoding"), encoding, "{accepted}");
        }
        assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(answer.header("vary"), "Accept-Encoding");
        tags.push(answer.header("etag").to_owned());
    }
    assert_eq!(tags[0], tags[1]);
    assert!(tags[0] != tags[2] && tags[2] != tags[4] && tags[4] != tags[0], "a tag for each form: {tags:?}");
    // Without compressed forms beside it, a file comes as it is.
    let plain = server.ask("GET", "/sw.js", &[("Accept-Encoding", "br, gzip")]);
    assert_eq!((plain.body.as_str(), plain.has("content-encoding")), ("worker", false));
}

#[test]
fn what_a_browser_has_already_is_not_sent_again() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    let tag = server.get("/sw.js").header("etag").to_owned();
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".into()] {
        let answer = server.ask("GET", "/sw.js", &[("If-None-Match", &known)]);
        assert_eq!((answer.status, answer.body.as_str()), (304, ""), "{known}");
        assert_eq!(answer.header("etag"), tag);
        assert_eq!(answer.header("cache-control"), "no-cache");
    }
    // Another content of the same length, at once: the tag is by the content.
    fs::write(machine.path("page/sw.js"), b"change").unwrap();
    let answer = server.ask("GET", "/sw.js", &[("If-None-Match", &tag)]);
    assert_eq!((answer.status, answer.body.as_str()), (200, "change"));
    assert_ne!(answer.header("etag"), tag);
}

#[test]
fn every_answer_says_what_the_page_may_do() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    let tag = server.get("/").header("etag").to_owned();
    for answer in [
        server.get("/"),
        server.ask("HEAD", "/", &[]),
        server.ask("GET", "/", &[("If-None-Match", &tag)]),
        server.get("/nothing"),
        server.ask("POST", "/", &[("Content-Length", "0")]),
    ] {
        let policy = answer.header("content-security-policy");
        for rule in [
            "default-src 'self'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "style-src 'self'",
            "img-src 'self' blob: data:",
            "media-src 'self' blob:",
            "worker-src 'self'",
            "connect-src 'self' blob: https://huggingface.co https://*.huggingface.co https://*.hf.co",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|there| there == rule), "no {rule:?} in {policy}");
        }
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert_eq!(answer.header("cross-origin-embedder-policy"), "require-corp");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert!(answer.header("permissions-policy").starts_with("camera=(self), microphone=()"));
    }
}

/// The page says the same itself, for other servers; but for frames, of which only a header is believed.
#[test]
fn the_header_and_the_page_have_one_policy() {
    let machine = Machine::new();
    let header = Server::with_page(&machine).get("/").header("content-security-policy").to_owned();
    let script = fs::read_to_string(repository("scripts/offline.mjs")).unwrap();
    let list = script.split_once("const POLICY = [").unwrap().1.split_once("].join").unwrap().0;
    let rules: Vec<&str> = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\",")).collect();
    assert_eq!(header, [rules.join("; "), "frame-ancestors 'none'".into()].join("; "));
}

#[test]
fn head_says_what_get_would_without_sending_it() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    let (head, get) = (server.ask("HEAD", "/", &[]), server.get("/"));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for name in ["content-length", "content-type", "etag", "cache-control", "vary"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
    assert_eq!(server.ask("HEAD", "/nothing", &[]).status, 404);
}

#[test]
fn nothing_outside_of_the_page_is_given_away() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(machine.path("secret.txt"), machine.path("page/link.txt")).unwrap();
        assert_eq!(server.get("/link.txt").status, 404, "a link that leads out");
    }
    for address in [
        "/nothing",
        "/models",
        "/models/",
        "/assets//index-B1x_9aZq.js",
        "/../secret.txt",
        "/assets/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/.hidden",
        "/%2ehidden",
        "/sw.js%00.html",
        "/%ff",
        "/%2",
        "/%zz",
        "/%2fetc%2fpasswd",
        "//etc/passwd",
        "/c:/secret.txt",
    ] {
        let answer = server.get(address);
        // Hyper itself refuses what is no address at all.
        assert!(answer.status == 404 || answer.status == 400, "{address}: {answer:?}");
        assert!(!answer.body.contains("secret") && !answer.body.contains("root:"), "{address}: {answer:?}");
    }
    let answer = server.get("/nothing");
    assert_eq!((answer.status, answer.header("content-type")), (404, "text/html; charset=utf-8"));
    assert!(answer.body.contains("404") && answer.header("cache-control") == "no-store", "{answer:?}");
    let answer = server.ask("DELETE", "/sw.js", &[]);
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
    assert!(machine.path("page/sw.js").exists());
}

#[test]
fn a_connection_is_used_again_and_nonsense_does_not_end_the_server() {
    let machine = Machine::new();
    let server = Server::with_page(&machine);
    let connect = || {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        stream
    };
    // Said nothing, still there; and gone in the middle of a word.
    let silent = connect();
    connect().write_all(b"GET /sw").unwrap();
    for nonsense in [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], b"GET\r\n\r\n", &vec![b'a'; 1 << 20]] {
        let mut stream = connect();
        // It may hang up before it has heard everything.
        let _ = stream.write_all(nonsense);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut stream = connect();
    stream
        .write_all(b"GET /sw.js HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut both = String::new();
    stream.read_to_string(&mut both).unwrap();
    assert!(both.contains("worker") && both.contains(INDEX), "{both}");
    drop(silent);
}

#[test]
fn a_taken_port_is_refused_when_asked_for_and_passed_over_otherwise() {
    let machine = Machine::new();
    make_page(&machine);
    // Taken by this test, or by whoever had it before.
    let taken = TcpListener::bind(("127.0.0.1", 8000));
    let message = machine.run(["serve", "--page", "page", "--port", "8000"]).refused_for(&["8000", "--port"]);
    assert!(message.contains("127.0.0.1"), "{message}");
    let server = Server::start(&machine, &["--page", "page"]);
    assert!((8001..=8099).contains(&server.port()), "{}", server.address);
    assert_eq!(server.get("/").body, INDEX);
    drop(taken);
}

#[test]
fn other_machines_are_let_in_only_with_a_warning() {
    let machine = Machine::new();
    make_page(&machine);
    let server = Server::start(&machine, &["--page", "page", "--port", "0"]);
    assert!(server.address.starts_with("127.0.0.1:"), "{}", server.address);
    #[cfg(unix)]
    {
        let (code, out, err) = server.stop("-INT");
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "", ""));
        let open = Server::start(&machine, &["--page", "page", "--port", "0", "--host", "0.0.0.0"]);
        assert_eq!(open.get("/").body, INDEX);
        let (code, _, err) = open.stop("-TERM");
        assert_eq!(code, Some(0));
        assert!(err.starts_with("warning: other machines") && err.lines().count() == 1, "{err}");
    }
}

#[test]
fn what_cannot_be_served_is_refused_in_one_line() {
    let machine = Machine::new();
    fs::create_dir(machine.path("empty")).unwrap();
    machine.run(["serve", "--page", "nowhere"]).refused_for(&["nowhere"]);
    machine.run(["serve", "--page", "empty"]).refused_for(&["empty", "index.html", "npm run build"]);
    make_page(&machine);
    machine.run(["serve", "--page", "page", "--host", "no such host"]).refused_for(&["no such host", "--host"]);
    machine.run(["serve", "--page", "page", "--host", "203.0.113.7"]).refused_for(&["203.0.113.7"]);
    machine.run(["serve", "--page", "page", "--port", "65536"]).refused_for(&["65536", "--port"]);
}

/// Without `--page`: what was compiled in, or the folder that the build leaves, or what to do.
#[test]
fn the_page_is_found_without_being_named() {
    let machine = Machine::new();
    if cfg!(feature = "page") {
        let server = Server::start(&machine, &["--port", "0"]);
        let built = fs::read_to_string(repository("dist/index.html")).unwrap();
        assert_eq!(server.get("/").body, built);
        // Whatever the build has called it: nobody asks before using such a file again.
        let assets = fs::read_dir(repository("dist/assets")).unwrap().map(|entry| entry.unwrap());
        let model = assets.into_iter().find(|file| file.path().extension().is_some_and(|end| end == "safetensors"));
        let model = model.expect("the demo model in the page");
        let answer = server.ask("HEAD", &format!("/assets/{}", model.file_name().to_str().unwrap()), &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-length"), model.metadata().unwrap().len().to_string());
        assert!(answer.header("cache-control").ends_with("immutable"), "{answer:?}");
        return;
    }
    machine.run(["serve"]).refused_for(&["npm run build", "--page"]);
    make_page(&machine);
    fs::rename(machine.path("page"), machine.path("dist")).unwrap();
    assert_eq!(Server::start(&machine, &["--port", "0"]).get("/").body, INDEX);
}
