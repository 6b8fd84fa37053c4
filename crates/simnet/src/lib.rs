//! A swarm in virtual time: links, peers and disks that replay from a seed.
