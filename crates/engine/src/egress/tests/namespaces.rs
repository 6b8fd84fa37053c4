//! In network namespaces.
