//! What is in the folders: scan and identity.
