//! The filter of system calls: what codecs and their threads need, and nothing else.
//!
//! A call that is not on the list fails with `EPERM`, which codecs survive where they only try something (an affinity,
//! a device), and nothing that is refused can be got around by trying again. Calls that matter are allowed with certain
//! arguments only: reading and writing the three descriptors there are, threads but no processes, memory that is not
//! code, signals to oneself. Calls of another architecture kill the process.

use std::{collections::BTreeMap, env::consts::ARCH};

use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op,
    SeccompCondition as Condition, SeccompFilter, SeccompRule, TargetArch,
};

/// Allowed whatever the arguments.
const ALLOWED: &[libc::c_long] = &[
    // Memory; `mmap` and `mprotect` have conditions.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads: what waits, what ends, where they run.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_membarrier,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    // Signals of one's own.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // Time, chance, how much memory there is.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_sysinfo,
    // Waiting for a descriptor, and letting one go.
    libc::SYS_ppoll,
    libc::SYS_close,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
    // Answered by the other filter.
    libc::SYS_clone3,
];

/// Puts the filter in force for this thread and those it starts.
pub(crate) fn install() -> Result<(), Error> {
    // glibc asks for threads with `clone3`, whose flags lie in memory that a filter cannot look at, and takes `clone`
    // where the kernel does not have it.
    seccompiler::apply_filter(&without_clone3()?)?;
    seccompiler::apply_filter(&allowed_only()?)
}

fn arch() -> Result<TargetArch, BackendError> {
    ARCH.try_into()
}

fn without_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let absent = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, absent, arch()?)?.try_into()
}

fn allowed_only() -> Result<BpfProgram, BackendError> {
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules()?, refused, SeccompAction::Allow, arch()?)?.try_into()
}

fn rules() -> Result<BTreeMap<libc::c_long, Vec<SeccompRule>>, BackendError> {
    let mut rules: BTreeMap<_, _> = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let (socket, stderr) = (0, 2);
    let own = u64::from(std::process::id());
    let is = |argument, value| Condition::new(argument, Len::Dword, Op::Eq, value);
    let without = |argument, mask| Condition::new(argument, Len::Qword, Op::MaskedEq(mask), 0);
    let with = |argument, mask| Condition::new(argument, Len::Qword, Op::MaskedEq(mask), mask);
    let mut allow = |call, conditions: Vec<Condition>| -> Result<(), BackendError> {
        rules.entry(call).or_insert_with(Vec::new).push(SeccompRule::new(conditions)?);
        Ok(())
    };
    allow(libc::SYS_read, vec![is(0, socket)?])?;
    for call in [libc::SYS_write, libc::SYS_writev] {
        allow(call, vec![is(0, socket)?])?;
        allow(call, vec![is(0, stderr)?])?;
    }
    // Anonymous memory that is never code.
    let (anonymous, code) = (libc::MAP_ANONYMOUS.unsigned_abs(), libc::PROT_EXEC.unsigned_abs());
    allow(libc::SYS_mmap, vec![with(3, u64::from(anonymous))?, without(2, u64::from(code))?])?;
    allow(libc::SYS_mprotect, vec![without(2, u64::from(code))?])?;
    // A thread of this process, in no new namespace.
    let thread = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
    allow(libc::SYS_clone, vec![with(0, u64::from(thread.unsigned_abs()))?])?;
    allow(libc::SYS_prctl, vec![is(0, u64::from(libc::PR_SET_NAME.unsigned_abs()))?])?;
    // What `abort` does.
    allow(libc::SYS_tgkill, vec![is(0, own)?])?;
    Ok(rules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_opens_connects_starts_or_watches_is_on_the_list() {
        let rules = rules().unwrap();
        for call in [
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_sendmsg,
            libc::SYS_recvmsg,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_kill,
            libc::SYS_io_uring_setup,
            libc::SYS_bpf,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_prlimit64,
            libc::SYS_seccomp,
            libc::SYS_ioctl,
            libc::SYS_dup,
            libc::SYS_memfd_create,
            libc::SYS_shmget,
            libc::SYS_userfaultfd,
            libc::SYS_newfstatat,
            libc::SYS_statx,
        ] {
            assert!(!rules.contains_key(&call), "system call {call}");
        }
    }

    #[test]
    fn both_filters_fit_into_the_kernels_bounds() {
        assert!(allowed_only().unwrap().len() < 4_096);
        assert!(without_clone3().unwrap().len() < 4_096);
    }
}
