//! The one way out: every swarm socket is made here.
