//! What the expansions of `cache-macros` decide by type: how arguments become keys, and outputs values.
