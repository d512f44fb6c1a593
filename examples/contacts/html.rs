//! What the pages look like. Every text that came from outside is written through [`Text`].

use std::fmt::{self, Write as _};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::Html;
use revalidate::{Access, Reason};

use crate::book::Profile;
use crate::db::{Company, Contact};
use crate::draft::{Draft, Problems};

/// What a form shows: fresh, or again with what is wrong.
#[derive(Default)]
pub(crate) struct Editor {
    draft: Draft,
    problems: Problems,
}

impl Editor {
    /// To change a contact.
    pub(crate) fn of(contact: &Contact) -> Self {
        Self {
            draft: Draft {
                name: contact.name.clone(),
                email: contact.email.clone(),
            },
            problems: Problems::default(),
        }
    }

    /// What was typed, which has problems.
    pub(crate) fn again(draft: Draft, problems: Problems) -> Self {
        Self { draft, problems }
    }
}

/// The first page: everybody.
pub(crate) fn home(
    contacts: &[Contact],
    companies: &[Company],
    editor: &Editor,
    accesses: &[Access],
) -> Html<String> {
    page("Contacts", |f| {
        f.write_str("<h1>Contacts</h1>\n")?;
        table(f, contacts)?;
        f.write_str("<p>")?;
        for (i, company) in companies.iter().enumerate() {
            let separator = if i == 0 { "" } else { " · " };
            write!(f, "{separator}{} {}", Text(&company.domain), company.people)?;
        }
        f.write_str("</p>\n<p><a href=\"/contacts.csv\">All as a spreadsheet</a></p>\n<h2>Add somebody</h2>\n")?;
        form(f, "/", "Add", editor)?;
        what_the_cache_did(f, accesses)
    })
}

/// The page of a contact.
pub(crate) fn contact(profile: &Profile, editor: &Editor, accesses: &[Access]) -> Html<String> {
    let Profile {
        contact,
        colleagues,
    } = profile;
    page(&contact.name, |f| {
        let (name, email) = (Text(&contact.name), Text(&contact.email));
        write!(f, "<h1>{name}</h1>\n<p>{email}</p>\n")?;
        writeln!(f, "<h2>Also at {}</h2>", Text(contact.company()))?;
        table(f, colleagues)?;
        f.write_str("<h2>Change</h2>\n")?;
        form(f, &format!("/contacts/{}", contact.id), "Save", editor)?;
        write!(
            f,
            "<form method=\"post\" action=\"/contacts/{}/remove\">",
            contact.id
        )?;
        f.write_str("<button class=\"remove\">Remove from the book</button></form>\n")?;
        what_the_cache_did(f, accesses)
    })
}

/// The page of an error.
pub(crate) fn error(status: StatusCode, message: &str) -> Html<String> {
    let title = status.canonical_reason().unwrap_or("Error");
    page(title, |f| {
        write!(f, "<h1>{title}</h1>\n<p>{}</p>\n", Text(message))
    })
}

fn page(title: &str, body: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result) -> Html<String> {
    let (title, body) = (Text(title), Part(body));
    Html(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
         <nav><a href=\"/\">Contacts</a></nav>\n<main>\n{body}</main>\n</body>\n</html>\n"
    ))
}

fn table(f: &mut fmt::Formatter<'_>, contacts: &[Contact]) -> fmt::Result {
    if contacts.is_empty() {
        return f.write_str("<p>Nobody.</p>\n");
    }
    f.write_str("<table>\n<tr><th>Name<th>Email\n")?;
    for contact in contacts {
        let Contact { id, name, email } = contact;
        writeln!(
            f,
            "<tr><td><a href=\"/contacts/{id}\">{}</a><td>{}",
            Text(name),
            Text(email)
        )?;
    }
    f.write_str("</table>\n")
}

fn form(f: &mut fmt::Formatter<'_>, action: &str, button: &str, editor: &Editor) -> fmt::Result {
    let Editor { draft, problems } = editor;
    writeln!(f, "<form method=\"post\" action=\"{action}\">")?;
    field(f, "Name", "name", &draft.name, problems.name)?;
    field(f, "Email", "email", &draft.email, problems.email)?;
    write!(f, "<button>{button}</button>\n</form>\n")
}

fn field(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    name: &str,
    value: &str,
    problem: Option<&str>,
) -> fmt::Result {
    write!(
        f,
        "<label>{label} <input name=\"{name}\" value=\"{}\" required",
        Text(value)
    )?;
    match problem {
        Some(problem) => writeln!(f, " aria-invalid=\"true\"><em>{problem}</em></label>"),
        None => f.write_str("></label>\n"),
    }
}

/// What each cached call behind the page came to, why, and how long it took: inner calls first.
fn what_the_cache_did(f: &mut fmt::Formatter<'_>, accesses: &[Access]) -> fmt::Result {
    f.write_str("<h2>What the cache did for this page</h2>\n<table class=\"cache\">\n")?;
    f.write_str("<tr><th>Call<th>Status<th>Reason<th>Time\n")?;
    for access in accesses {
        let (status, why) = outcome(access.reason);
        let call = Text(access.name.rsplit("::").next().unwrap_or_default());
        let took = Took(access.took);
        writeln!(
            f,
            "<tr class=\"{status}\"><td>{call}<td>{status}<td>{why}<td>{took}"
        )?;
    }
    f.write_str("</table>\n<p class=\"note\">The page itself is made anew each time.</p>\n")
}

fn outcome(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::Hit => ("hit", "fresh"),
        Reason::Stale => ("stale", "refreshing"),
        Reason::Bypass => ("bypass", "asked to"),
        miss => ("miss", miss.as_str()),
    }
}

/// A piece of a page: the function writes it.
struct Part<F>(F);

impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> fmt::Display for Part<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0(f)
    }
}

/// A duration that suits what it measures: a hit takes less than a microsecond.
struct Took(Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_secs_f64() * 1e6;
        if micros < 1000.0 {
            write!(f, "{micros:.1} µs")
        } else {
            write!(f, "{:.2} ms", micros / 1000.0)
        }
    }
}

/// A text as HTML, between tags or in a quoted attribute.
struct Text<'a>(&'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
