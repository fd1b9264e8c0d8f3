//! Time and chance, for one thread: what the C library says of them there follows from a seed.
//!
//! The libraries that the daemon is made of ask the operating system by three functions:
//! `clock_gettime`, `getrandom`, and `syscall` with the number of `getrandom` (ring does that, and
//! old versions of rand). Functions of the program itself go before those of the C library, so
//! these three are defined here. On every other thread they do what they always do: sled's threads
//! would otherwise take from the same dice, each time in another order.
#![allow(unsafe_code, reason = "stands in for functions of the C library")]
#![allow(clippy::as_conversions, reason = "the C library's types are what the platform has")]

use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};
use std::{
    arch::asm,
    cell::{Cell, RefCell},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::runtime::{Handle, Id};

/// When every simulated world begins, in seconds since 1970: 2026-01-01.
pub const EPOCH: u64 = 1_767_225_600;

/// What the monotonic clock says where no host is running, in seconds.
const BEFORE: u64 = 1_000_000;

thread_local! {
    static IN_FORCE: Cell<bool> = const { Cell::new(false) };
    static DICE: Cell<u64> = const { Cell::new(0) };
    static ZERO: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// How far the wall clock of a host is ahead, in milliseconds.
type Ahead = Arc<AtomicI64>;

thread_local! {
    static WALLS: RefCell<Vec<(Id, Ahead)>> = const { RefCell::new(Vec::new()) };
}

/// From now on this thread's time is the simulation's, and its chance follows from `seed`.
pub fn take_over(seed: u64) {
    DICE.set(seed);
    IN_FORCE.set(true);
    ZERO.set(Some(Instant::now()));
}

/// Gives the thread its host's clocks back.
pub fn give_back() {
    IN_FORCE.set(false);
}

/// The host that runs on the current runtime has this wall clock.
pub fn set_wall(ahead: &Ahead) {
    let id = Handle::current().id();
    WALLS.with_borrow_mut(|walls| {
        // The runtime of this host's last life is gone.
        walls.retain(|(_, other)| !Arc::ptr_eq(other, ahead));
        walls.push((id, Arc::clone(ahead)));
    });
}

/// The next 64 bits: splitmix64, of which any seed is good.
fn throw() -> u64 {
    let state = DICE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    DICE.set(state);
    let mut mixed = state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What the clock says in the simulation.
fn simulated(clock: clockid_t) -> Duration {
    if clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE {
        let since = turmoil::sim_elapsed().unwrap_or(Duration::ZERO);
        let millis = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let ahead = Handle::try_current().ok().and_then(|handle| {
            let id = handle.id();
            WALLS.with_borrow(|walls| {
                let (_, ahead) = walls.iter().find(|(of, _)| *of == id)?;
                Some(ahead.load(Ordering::Relaxed))
            })
        });
        let millis = millis.saturating_add(ahead.unwrap_or(0));
        let epoch = Duration::from_secs(EPOCH);
        let by = Duration::from_millis(millis.unsigned_abs());
        return if millis < 0 { epoch.saturating_sub(by) } else { epoch + by };
    }
    let before = Duration::from_secs(BEFORE);
    match (ZERO.get(), Handle::try_current()) {
        // A paused runtime's clock asks no other.
        (Some(zero), Ok(_)) => {
            before + tokio::time::Instant::now().into_std().saturating_duration_since(zero)
        }
        _ => before,
    }
}

/// As `clock_gettime` of the C library.
///
/// # Safety
/// `told` must be valid for writing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, told: *mut timespec) -> c_int {
    let in_force = IN_FORCE.try_with(Cell::get).unwrap_or(false);
    let cpu = [libc::CLOCK_PROCESS_CPUTIME_ID, libc::CLOCK_THREAD_CPUTIME_ID].contains(&clock);
    if !in_force || cpu {
        // SAFETY: the kernel checks what it is given.
        return unsafe {
            answer(kernel(
                libc::SYS_clock_gettime,
                [c_long::from(clock), told as c_long, 0, 0, 0, 0],
            )) as c_int
        };
    }
    let time = simulated(clock);
    // SAFETY: the caller promises that it can be written to.
    unsafe {
        (*told).tv_sec = time.as_secs() as libc::time_t;
        (*told).tv_nsec = c_long::from(time.subsec_nanos());
    }
    0
}

/// As `getrandom` of the C library.
///
/// # Safety
/// `buffer` must be valid for writing `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    if !IN_FORCE.try_with(Cell::get).unwrap_or(false) {
        let arguments = [buffer as c_long, length as c_long, c_long::from(flags), 0, 0, 0];
        // SAFETY: the kernel checks what it is given.
        return unsafe { answer(kernel(libc::SYS_getrandom, arguments)) as ssize_t };
    }
    // SAFETY: the caller promises that it can be written to.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let thrown = throw().to_le_bytes();
        chunk.copy_from_slice(&thrown[..chunk.len()]);
    }
    length as ssize_t
}

/// As `syscall` of the C library.
///
/// # Safety
/// As the system call that is asked for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    first: c_long,
    second: c_long,
    third: c_long,
    fourth: c_long,
    fifth: c_long,
    sixth: c_long,
) -> c_long {
    if number == libc::SYS_getrandom {
        // SAFETY: as promised by the caller.
        return unsafe {
            getrandom(first as *mut c_void, second as size_t, third as c_uint) as c_long
        };
    }
    // SAFETY: as promised by the caller.
    unsafe { answer(kernel(number, [first, second, third, fourth, fifth, sixth])) }
}

/// Calls the kernel.
///
/// # Safety
/// As the system call.
#[cfg(target_arch = "x86_64")]
unsafe fn kernel(number: c_long, arguments: [c_long; 6]) -> c_long {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let result: c_long;
    // SAFETY: the kernel's calling convention on this platform; what it clobbers is named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") first,
            in("rsi") second,
            in("rdx") third,
            in("r10") fourth,
            in("r8") fifth,
            in("r9") sixth,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// Calls the kernel.
///
/// # Safety
/// As the system call.
#[cfg(target_arch = "aarch64")]
unsafe fn kernel(number: c_long, arguments: [c_long; 6]) -> c_long {
    let [first, second, third, fourth, fifth, sixth] = arguments;
    let result: c_long;
    // SAFETY: the kernel's calling convention on this platform.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") first => result,
            in("x1") second,
            in("x2") third,
            in("x3") fourth,
            in("x4") fifth,
            in("x5") sixth,
            options(nostack),
        );
    }
    result
}

/// The C library's way to tell of an error.
fn answer(result: c_long) -> c_long {
    if !(-4_095..0).contains(&result) {
        return result;
    }
    // SAFETY: the C library gives each thread its own.
    unsafe { *libc::__errno_location() = -result as c_int };
    -1
}
