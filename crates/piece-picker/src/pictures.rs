//! Picks drawn as strings.
