//! Servers that speak TLS, and what is said of certificates.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;

use crate::certified::{Authority, Speaking};
use crate::{command, node, said};

/// A server that wants to know its clients, its authority's certificate, and those of a client and of another's.
struct Site {
    server: Speaking,
    files: TempDir,
}

impl Site {
    fn new() -> Self {
        let (ours, other) = (Authority::new("ours"), Authority::new("other"));
        let server = Speaking::tls(&ours, &ours.certifies("127.0.0.1"), true, &[]);
        let files = TempDir::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(files.path().join(name), text).unwrap();
        write("ca.pem", &ours.pem);
        write("other-ca.pem", &other.pem);
        let client = ours.certifies("operator");
        write("operator.pem", &client.pem);
        write("operator.key", &client.key);
        write("other.key", &other.certifies("operator").key);
        write("empty.pem", "");
        Self { server, files }
    }

    fn folder(&self) -> &Path {
        self.files.path()
    }

    /// In the folder of the certificates.
    fn revalidate(&self, arguments: &str) -> Output {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let mut command = command(&self.server.url(), &arguments);
        command.current_dir(self.folder()).output().unwrap()
    }

    fn fails(&self, arguments: &str, told: &[&str]) {
        let (ok, out, err) = said(&self.revalidate(arguments));
        assert!(!ok && out.is_empty(), "{arguments}: {out}");
        for told in told {
            assert!(err.contains(told), "{arguments}: {told:?} is not in {err}");
        }
    }
}

#[tokio::test]
async fn a_server_of_ones_own_authority_is_shown_a_certificate() {
    let site = Site::new();
    let _node = node(&site.server.server).await;
    // Before the subcommand, behind it, and on both sides.
    for arguments in [
        "--cacert ca.pem --cert operator.pem --key operator.key tag contacts",
        "tag contacts --cacert ca.pem --cert operator.pem --key operator.key",
        "--cacert ca.pem --key operator.key tag contacts --cert operator.pem",
        // Its own argument is called so.
        "--key operator.key key greeting --version 1 --cacert ca.pem --cert operator.pem",
    ] {
        let (ok, out, err) = said(&site.revalidate(arguments));
        assert_eq!(
            (ok, &*out, &*err),
            (true, "acknowledged\n", ""),
            "{arguments}"
        );
    }
    let mut by_environment = command(&site.server.url(), &["status"]);
    by_environment
        .current_dir(site.folder())
        .env("REDIS_TLS_CA_FILE", "ca.pem")
        .env("REDIS_TLS_CERT_FILE", "operator.pem")
        .env("REDIS_TLS_KEY_FILE", "operator.key");
    let (ok, out, err) = said(&by_environment.output().unwrap());
    let address = format!("server     127.0.0.1:{}, ", site.server.port);
    assert!(ok && out.starts_with(&address), "{out}{err}");
}

#[test]
fn who_is_not_trusted_is_told_by_which_option() {
    let site = Site::new();
    let client = "--cert operator.pem --key operator.key";
    for untrusted in ["", "--cacert other-ca.pem "] {
        let arguments = format!("{untrusted}{client} status");
        site.fails(&arguments, &["authority is not trusted", "`--cacert`"]);
    }
    let told = ["wants a certificate of its clients", "`--cert` and `--key`"];
    site.fails("--cacert ca.pem status", &told);
}

#[test]
fn what_is_wrong_with_a_file_is_told_before_anything_is_connected_to() {
    let site = Site::new();
    for (arguments, told) in [
        (
            "--cacert missing.pem",
            &["--cacert missing.pem: No such file", "name a file in PEM"][..],
        ),
        ("--cert . --key operator.key", &["--cert .: Is a directory"]),
        (
            "--cert operator.pem --key missing.key",
            &["--key missing.key: No such file"],
        ),
        (
            "--cacert empty.pem",
            &[
                "--cacert empty.pem: no `-----BEGIN CERTIFICATE-----`",
                "taken in PEM",
            ],
        ),
        (
            "--cert operator.key --key operator.key",
            &[
                "--cert operator.key --key operator.key: no `-----BEGIN CERTIFICATE-----` in the certificate",
            ],
        ),
        (
            "--cert operator.pem --key operator.pem",
            &[
                "--cert operator.pem --key operator.pem: no `-----BEGIN PRIVATE KEY-----` in the key",
            ],
        ),
        (
            "--cert operator.pem --key other.key",
            &["--cert operator.pem --key other.key: ", "KeyMismatch"],
        ),
        (
            "--cert operator.pem",
            &["--cert operator.pem has no key: name the key's file with --key"],
        ),
        (
            "--key operator.key",
            &["--key operator.key has no certificate: name its file with --cert"],
        ),
        (
            "--url redis://127.0.0.1 --cacert ca.pem",
            &[
                "--cacert ca.pem is for TLS",
                "write `rediss://` in place of `redis://`",
            ],
        ),
        (
            "--url redis://127.0.0.1 --cert operator.pem --key operator.key",
            &[
                "--cert operator.pem --key operator.key is for TLS",
                "REDIS_TLS_CA_FILE",
            ],
        ),
    ] {
        site.fails(&format!("{arguments} status"), told);
    }
}
