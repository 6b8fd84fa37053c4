//! The announcer in virtual time.
