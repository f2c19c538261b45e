//! The configuration of one release: immutable, named by its content, so that old pods keep the old one.
