//! What a caller is told instead of a value: a status, a code for programs, a message for people.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Display;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use cache_core::spi::web::Failure;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Why a call is not answered with a value.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    /// For the log.
    details: Option<String>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
            details: None,
        }
    }

    /// What the caller did wrong with an argument.
    pub(crate) fn argument(message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
    }

    /// What went wrong here: its details are for the log alone.
    pub(crate) fn internal(details: Option<String>) -> Self {
        let mut refusal = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the web method failed",
        );
        refusal.details = details;
        refusal
    }

    /// Gives it the details that only the log is told.
    pub(crate) fn because(mut self, details: &impl Display) -> Self {
        self.details = Some(details.to_string());
        self
    }

    /// Says the same in better words.
    pub(crate) fn saying(mut self, message: &'static str) -> Self {
        self.message = message.into();
        self
    }

    fn panicked(panic: &(dyn Any + Send)) -> Self {
        let said = panic.downcast_ref::<&str>().copied();
        let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let said = said.unwrap_or("without a text");
        Self::internal(Some(format!("it panicked: {said}")))
    }

    pub(crate) fn failed(failure: Failure) -> Self {
        let mut refusal = Self::internal(failure.details);
        if let Some(public) = failure.public {
            refusal.status =
                StatusCode::from_u16(public.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refusal.code = public.code().to_owned().into();
            refusal.message = public.message().to_owned().into();
        }
        refusal
    }

    /// Tells the log what only it is told.
    pub(crate) fn log(self, method: &str) -> Self {
        #[cfg(feature = "tracing")]
        match self.details.as_deref() {
            details if self.status.is_server_error() => {
                let details = details.unwrap_or("no details");
                tracing::error!(method, code = &*self.code, details, "a web method failed");
            }
            // A caller's mistake, of which a caller can make as many as it likes.
            Some(details) => {
                tracing::debug!(method, code = &*self.code, details, "a call was refused");
            }
            None => {}
        }
        #[cfg(not(feature = "tracing"))]
        if self.status.is_server_error() {
            let details = self.details.as_deref().unwrap_or("no details");
            eprintln!("revalidate: the web method `{method}` failed: {details}");
        }
        self
    }
}

/// What `future` comes to; a panic in it is a failure like others, and not the end of a connection on
/// which other calls may be under way.
pub(crate) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Refusal> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // It is not polled again, and what it shares with others is theirs to guard.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(Refusal::panicked(&*panic))),
        }
    })
    .await
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "code": self.code, "message": self.message }).to_string();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, JSON);
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
        response
    }
}

#[cfg(all(test, not(feature = "tracing")))]
mod tests {
    use std::process::Command;

    use super::*;

    /// In a process of its own, whose output is read.
    #[test]
    fn without_a_log_failures_are_on_standard_error() {
        const INSIDE: &str = "FAILURES_OF_A_CASE";
        if std::env::var_os(INSIDE).is_some() {
            drop(Refusal::internal(Some("no disk".to_owned())).log("print"));
            drop(Refusal::argument("`plan` is missing".to_owned()).log("subscribe"));
            return;
        }
        let case = "refusal::tests::without_a_log_failures_are_on_standard_error";
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", case, "--nocapture"])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("the web method `print` failed: no disk"),
            "{said}"
        );
        assert!(!said.contains("subscribe"), "{said}");
    }
}

#[cfg(all(test, feature = "tracing"))]
mod tests {
    use std::fmt::Debug;
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Waker};

    use tracing::field::Field;
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// The events, each as a line.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn event(&self, event: &Event<'_>) {
            let mut line = event.metadata().level().to_string();
            event.record(&mut |field: &Field, value: &dyn Debug| {
                line.push_str(&format!(" {field}={value:?}"));
            });
            self.0.lock().unwrap().push(line);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn what_callers_are_not_told_is_in_the_log() {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let panics = pin!(caught(async { panic!("out of {}", "paper") }));
            let polled: Poll<Result<(), _>> = panics.poll(&mut Context::from_waker(Waker::noop()));
            let Poll::Ready(Err(panicked)) = polled else {
                panic!("it was caught");
            };
            drop(panicked.log("print").into_response());
            let wrong = Refusal::argument("`plan` is wrong".to_owned()).because(&"no `Trial`");
            drop(wrong.log("subscribe").into_response());
            drop(Refusal::argument("`plan` is missing".to_owned()).log("subscribe"));
        });
        let lines = log.0.lock().unwrap().clone();
        assert_eq!(lines.len(), 2, "{lines:?}");
        for (line, words) in [
            (
                &lines[0],
                ["ERROR", "\"print\"", "it panicked: out of paper"],
            ),
            (&lines[1], ["DEBUG", "\"subscribe\"", "no `Trial`"]),
        ] {
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
    }
}
