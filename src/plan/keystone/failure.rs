//! What a failed Job means: a table from what it printed to a reason and a remedy.
