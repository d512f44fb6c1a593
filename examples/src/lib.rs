//! Example applications live beside this file, one folder each.
