//! The scripts, each sent once to a server and called by its digest.

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($name:ident = $($file:literal)+;)+) => { $(
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!($(include_str!(concat!("../scripts/", $file, ".lua")), "\n"),+))
        });
    )+ };
}
scripts! {
    IDENTITY = "common" "identity";
    SINCE = "common" "since";
    APPEND = "common" "append";
    PREPARE = "common" "prepare";
    STORE = "store";
}
