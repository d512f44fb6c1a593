//! What is wrong with a policy, whoever runs it: found when it is read from XML, or when it is checked.

use thiserror::Error;

use super::name::MAX_NAME_CHARS;
use crate::{Scope, Variable};

/// A policy says what cannot be carried out.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyError {
    /// Its name has a character that a name has not.
    #[error(
        "the policy's name {name:?} has {character:?} at character {place}: a name has letters, digits, spaces and . _ - $ %"
    )]
    NameCharacter {
        /// The name's first characters.
        name: String,
        /// The character.
        character: char,
        /// Which one it is, the first being 1.
        place: usize,
    },
    /// Its name is empty or too long.
    #[error("the policy's name has {length} characters; a name has 1 to {MAX_NAME_CHARS}")]
    NameLength {
        /// Its length in characters.
        length: usize,
    },
    /// Its `CacheContext` lacks what its scope is made of.
    #[error(
        "<CacheContext> has no <{missing}>, which the scope {scope} is made of: add it, or give the key a <Prefix>"
    )]
    ContextIncomplete {
        /// The scope.
        scope: Scope,
        /// The element.
        missing: &'static str,
    },
    /// Its key has nothing to know an entry by.
    #[error(
        "<CacheKey> has neither a <Prefix> nor a <KeyFragment>, so that there is one entry for all in its scope: add a <KeyFragment> that names it, or to drop all of the cache build the policy with `purge_all()`"
    )]
    EmptyKey,
    /// It purges child entries, and has no fragment to know them by.
    #[error(
        "<PurgeChildEntries> needs a <KeyFragment> to know the entries by; to drop all of the cache build the policy with `purge_all()`"
    )]
    PurgeWithoutFragment,
    /// It assigns to a variable that is not the application's.
    #[error(
        "<AssignTo> names {variable}, which is the request's, the response's or a policy's: name a variable of the application's own, such as flow.token"
    )]
    AssignTo {
        /// The variable.
        variable: Variable,
    },
    /// Its key is of a form, and a flush by a header reads none.
    #[error(
        "<CacheKey> reads {variable}, and a flush by a header reads no form: refer to a header or to the query, or attach the policy with `proxy.layer(..)`"
    )]
    NoForm {
        /// The variable.
        variable: Variable,
    },
    /// It reads the response before there is one.
    #[error("<{element}> reads {variable}, and is looked at before there is a response")]
    NoResponseYet {
        /// The element.
        element: &'static str,
        /// The variable.
        variable: Variable,
    },
}
