//! The contact book: reads that are cached, and changes that drop exactly what they touched.
//!
//! | tag | what carries it | dropped when |
//! |---|---|---|
//! | `contacts` | the list of everybody | anybody is added, changed or removed |
//! | `contact:{id}` | everything that shows this contact | it is changed or removed |
//! | `company:{domain}` | the people of a company | somebody joins it |
//! | `companies` | the list of companies | somebody joins or leaves one |
//!
//! Who calls a cached function gets its tags: `profile` names none, and is dropped with whatever it
//! shows. So a change names what it changed, and need not know who shows it.

use std::sync::Arc;

use revalidate::{FutureExt, invalidate_cache, revalidate_path, revalidate_tag, web_method};
use serde::{Deserialize, Serialize};

use crate::db::{Company, Contact, Db};
use crate::draft::Draft;
use crate::error::Error;

/// How many people of a company are shown.
const PEOPLE: u32 = 20;

/// The whole book. It does not ask its contacts for their tags: there may be thousands, and an entry
/// has at most 128. Its one tag is `contacts`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Everybody {
    pub(crate) contacts: Vec<Contact>,
}

/// A contact, and who works at the same place.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Profile {
    pub(crate) contact: Contact,
    pub(crate) colleagues: Vec<Contact>,
}

/// Everybody, by name.
///
/// `skip`: the database is no part of the key, since there is only one.
#[web_method(cache(tags = ["contacts"], ttl = "1h"))]
pub(crate) async fn everybody(#[cache(skip)] db: &Db) -> Result<Arc<Everybody>, Error> {
    let contacts = db.contacts().await?;
    Ok(Arc::new(Everybody { contacts }))
}

/// One contact. That there is none is an answer too; it is kept for a minute at most.
#[web_method(cache(tags = ["contact:{id}"], ttl = "1h", none = "1m"))]
pub(crate) async fn contact(#[cache(skip)] db: &Db, id: i64) -> Result<Option<Contact>, Error> {
    Ok(db.contact(id).await?)
}

/// The people of a company, those first who have been in the book for longest. Which these are is
/// known only when they are found; then the entry gets the tag of each: `Contact` derives `CacheTags`.
#[web_method(cache(tags = ["company:{company}"], ttl = "1h"))]
pub(crate) async fn people(#[cache(skip)] db: &Db, company: &str) -> Result<Arc<[Contact]>, Error> {
    Ok(db.people(company.to_owned(), PEOPLE).await?.into())
}

/// The companies and their sizes: nobody minds if these are a moment old, so while they are counted
/// anew the last count is shown.
#[web_method(cache(tags = ["companies"], ttl = "10m", stale_while_revalidate = "1h"))]
pub(crate) async fn companies(#[cache(skip)] db: &Db) -> Result<Arc<[Company]>, Error> {
    Ok(db.companies().await?.into())
}

/// A contact with its colleagues. Its tags and its lifetime are those of what it calls.
#[web_method(cache())]
pub(crate) async fn profile(
    #[cache(skip)] db: &Db,
    id: i64,
) -> Result<Option<Arc<Profile>>, Error> {
    let Some(contact) = contact(db, id).await? else {
        return Ok(None);
    };
    let people = people(db, contact.company()).await?;
    let colleagues = people
        .iter()
        .filter(|other| other.id != id)
        .cloned()
        .collect();
    Ok(Some(Arc::new(Profile {
        contact,
        colleagues,
    })))
}

/// Adds a contact.
pub(crate) async fn add(db: &Db, draft: &Draft) -> Result<Contact, Error> {
    let (db, new) = (db.clone(), draft.check().map_err(Error::Invalid)?);
    to_its_end(async move {
        let added = db.add(new).await?;
        invalidate_cache(["contacts", &tag_of(&added), &company_tag_of(&added)]).await?;
        companies_changed().await?;
        export_changed().await?;
        Ok(added)
    })
    .await
}

/// Changes a contact.
pub(crate) async fn change(db: &Db, id: i64, draft: &Draft) -> Result<Contact, Error> {
    let (db, new) = (db.clone(), draft.check().map_err(Error::Invalid)?);
    to_its_end(async move {
        let (before, after) = db.change(id, new).await?.ok_or(Error::NoContact)?;
        let mut tags = vec!["contacts".to_owned(), tag_of(&after)];
        let moved = before.company() != after.company();
        if moved {
            tags.push(company_tag_of(&after));
        }
        invalidate_cache(tags).await?; // several tags, one step: no reader sees half of it
        if moved {
            companies_changed().await?;
        }
        export_changed().await?;
        Ok(after)
    })
    .await
}

/// Removes a contact.
pub(crate) async fn remove(db: &Db, id: i64) -> Result<(), Error> {
    let db = db.clone();
    to_its_end(async move {
        let removed = db.remove(id).await?.ok_or(Error::NoContact)?;
        invalidate_cache(["contacts", &tag_of(&removed)]).await?;
        companies_changed().await?;
        export_changed().await
    })
    .await
}

/// The sizes of the companies may be shown stale once more; what `invalidate_cache` drops is never
/// shown again.
async fn companies_changed() -> Result<(), Error> {
    revalidate_tag("companies").await?;
    Ok(())
}

/// The export is a response kept by its path; likewise.
async fn export_changed() -> Result<(), Error> {
    revalidate_path("/contacts.csv").await?;
    Ok(())
}

fn tag_of(contact: &Contact) -> String {
    format!("contact:{}", contact.id)
}

fn company_tag_of(contact: &Contact) -> String {
    format!("company:{}", contact.company())
}

/// Runs a change to its end, even if the client leaves in between: a change that was committed and
/// not invalidated would leave the old values in the cache.
async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(change.in_current_load()).await {
        Ok(done) => done,
        Err(failed) => Err(Error::Internal(format!("change: {failed}"))),
    }
}
