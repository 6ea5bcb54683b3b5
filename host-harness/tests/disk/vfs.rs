//! What stands between SQLite and the disk: it writes down every change in order, and breaks what a
//! test wants broken. The files themselves stay the system's own.
//!
//! All that is unsafe about it stands here. It becomes SQLite's default in the test's process, so what
//! is tested opens its files as it always does.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

/// A change of a file, or that it reached the disk.
#[derive(Clone, Debug)]
pub enum Op {
    Write {
        file: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        file: String,
        size: usize,
    },
    Sync {
        file: String,
    },
    Delete {
        file: String,
    },
    /// A sync that failed: the system takes what was written for clean, and never writes it.
    LostSync {
        file: String,
    },
}

/// What is about to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Read,
    Write,
    Truncate,
    Sync,
}

/// How it fails.
#[derive(Clone, Copy, Debug)]
pub struct Failure {
    pub code: c_int,
    /// Half of a write is done.
    pub half: bool,
}

/// Decides for each attempt on a file whether it fails.
type Fault = Box<dyn FnMut(Kind, &str) -> Option<Failure> + Send>;

#[derive(Default)]
struct State {
    ops: Vec<Op>,
    fault: Option<Fault>,
}

/// Everything under one directory.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

static DISKS: Mutex<Vec<(PathBuf, Disk)>> = Mutex::new(Vec::new());

impl Disk {
    /// Watches a directory from now on.
    pub fn under(directory: &Path) -> Self {
        install();
        let disk = Self(Arc::default());
        let directory = directory.canonicalize().unwrap();
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).push((directory, disk.clone()));
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many changes there were.
    pub fn len(&self) -> usize {
        self.state().ops.len()
    }

    pub fn ops(&self) -> Vec<Op> {
        self.state().ops.clone()
    }

    pub fn breaks(&self, fault: impl FnMut(Kind, &str) -> Option<Failure> + Send + 'static) {
        self.state().fault = Some(Box::new(fault));
    }

    pub fn heals(&self) {
        self.state().fault = None;
    }
}

static INSTALL: Once = Once::new();

/// Makes it SQLite's default, over the one that was.
fn install() {
    INSTALL.call_once(|| {
        // SAFETY: the default VFS is static; the copy lives as long as the process, as SQLite asks, and its
        // functions are those of the original but for the two that are replaced.
        unsafe {
            ffi::sqlite3_initialize();
            let real = ffi::sqlite3_vfs_find(std::ptr::null());
            assert!(!real.is_null());
            let mut own: ffi::sqlite3_vfs = *real;
            own.zName = c"watched".as_ptr();
            own.szOsFile += size_of::<File>() as c_int;
            own.pNext = std::ptr::null_mut();
            own.xOpen = Some(open);
            own.xDelete = Some(delete);
            REAL.store(real, std::sync::atomic::Ordering::SeqCst);
            assert_eq!(ffi::sqlite3_vfs_register(Box::leak(Box::new(own)), 1), ffi::SQLITE_OK);
        }
    });
}

static REAL: std::sync::atomic::AtomicPtr<ffi::sqlite3_vfs> =
    std::sync::atomic::AtomicPtr::new(std::ptr::null_mut());

fn real_vfs() -> *mut ffi::sqlite3_vfs {
    REAL.load(std::sync::atomic::Ordering::SeqCst)
}

/// What SQLite allocates for a file; the system's own follows it.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// Null for files that nobody watches.
    watched: *mut Watched,
}

struct Watched {
    disk: Disk,
    name: String,
}

fn watched_at(path: &Path) -> Option<(Disk, String)> {
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, disk) = disks.iter().find(|(directory, _)| path.starts_with(directory))?;
    Some((disk.clone(), path.file_name()?.to_string_lossy().into_owned()))
}

/// # Safety
/// `name` is null or a C string.
unsafe fn find(name: *const c_char) -> Option<(Disk, String)> {
    if name.is_null() {
        return None;
    }
    // SAFETY: by this function's own condition.
    let path = unsafe { CStr::from_ptr(name) };
    watched_at(Path::new(path.to_str().ok()?))
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room for `szOsFile` bytes at `file` and a C string or null as the name; the
    // real VFS is asked with the room behind `File`, which is as large as it wants.
    unsafe {
        let own = file.cast::<File>();
        (*own).base.pMethods = std::ptr::null();
        (*own).watched = std::ptr::null_mut();
        let vfs = real_vfs();
        let Some(real_open) = (*vfs).xOpen else { return ffi::SQLITE_ERROR };
        let result = real_open(vfs, name, real(file), flags, out_flags);
        if (*real(file)).pMethods.is_null() {
            return result;
        }
        (*own).base.pMethods = &METHODS;
        if let Some((disk, name)) = find(name) {
            (*own).watched = Box::into_raw(Box::new(Watched { disk, name }));
        }
        result
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: SQLite gives a C string; the real VFS gets what was given.
    unsafe {
        if let Some((disk, file)) = find(name) {
            disk.state().ops.push(Op::Delete { file });
        }
        let vfs = real_vfs();
        match (*vfs).xDelete {
            Some(real_delete) => real_delete(vfs, name, sync),
            None => ffi::SQLITE_ERROR,
        }
    }
}

/// The system's own file.
///
/// # Safety
/// `file` was given by SQLite for this VFS.
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: `szOsFile` has room for both.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// # Safety
/// As [`real`], and the file is open.
unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a Watched> {
    // SAFETY: what `open` put there lives until `close`.
    unsafe { (*file.cast::<File>()).watched.as_ref() }
}

/// What becomes of an attempt: a failure, or nothing against it.
///
/// # Safety
/// As [`watched`].
unsafe fn fails(file: *mut ffi::sqlite3_file, kind: Kind) -> Option<Failure> {
    // SAFETY: by this function's own condition.
    let watched = unsafe { watched(file) }?;
    let mut state = watched.disk.state();
    let mut fault = state.fault.take()?;
    let failure = fault(kind, &watched.name);
    state.fault = Some(fault);
    failure
}

/// # Safety
/// As [`watched`].
unsafe fn note(file: *mut ffi::sqlite3_file, op: impl FnOnce(String) -> Op) {
    // SAFETY: by this function's own condition.
    if let Some(watched) = unsafe { watched(file) } {
        watched.disk.state().ops.push(op(watched.name.clone()));
    }
}

/// Calls the system's own method.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        let real = real($file);
        match (*(*real).pMethods).$method {
            Some(method) => method(real $(, $argument)*),
            None => ffi::SQLITE_ERROR,
        }
    }};
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: SQLite closes an open file once; what `open` put there is taken back.
    unsafe {
        let result = pass!(file, xClose);
        let own = file.cast::<File>();
        if !(*own).watched.is_null() {
            drop(Box::from_raw((*own).watched));
            (*own).watched = std::ptr::null_mut();
        }
        result
    }
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, amount: c_int, at: i64) -> c_int {
    // SAFETY: SQLite's own arguments are passed on.
    unsafe {
        match fails(file, Kind::Read) {
            Some(failure) => failure.code,
            None => pass!(file, xRead, to, amount, at),
        }
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    amount: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite gives `amount` readable bytes; no more of them are read or passed on.
    unsafe {
        let failure = fails(file, Kind::Write);
        let done = match failure {
            None => amount,
            Some(Failure { half: true, .. }) => amount / 2,
            Some(_) => 0,
        };
        if done > 0 {
            let bytes = std::slice::from_raw_parts(from.cast::<u8>(), done as usize).to_vec();
            note(file, |name| Op::Write { file: name, at: at as usize, bytes });
            let result = pass!(file, xWrite, from, done, at);
            if result != ffi::SQLITE_OK {
                return result;
            }
        }
        failure.map_or(ffi::SQLITE_OK, |failure| failure.code)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: SQLite's own arguments are passed on.
    unsafe {
        if let Some(failure) = fails(file, Kind::Truncate) {
            return failure.code;
        }
        note(file, |name| Op::Truncate { file: name, size: size as usize });
        pass!(file, xTruncate, size)
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _flags: c_int) -> c_int {
    // SAFETY: SQLite's own file. What a power cut leaves is worked out from the notes, so nothing has to
    // be synced for real.
    unsafe {
        if let Some(failure) = fails(file, Kind::Sync) {
            note(file, |name| Op::LostSync { file: name });
            return failure.code;
        }
        note(file, |name| Op::Sync { file: name });
        ffi::SQLITE_OK
    }
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, size: *mut i64) -> c_int {
    // SAFETY: SQLite's own arguments are passed on.
    unsafe { pass!(file, xFileSize, size) }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xLock, level) }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xUnlock, level) }
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, held: *mut c_int) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xCheckReservedLock, held) }
}

unsafe extern "C" fn file_control(file: *mut ffi::sqlite3_file, what: c_int, with: *mut c_void) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xFileControl, what, with) }
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xSectorSize) }
}

unsafe extern "C" fn device_characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xDeviceCharacteristics) }
}

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xShmMap, page, size, extend, to) }
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, at: c_int, count: c_int, flags: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xShmLock, at, count, flags) }
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: as above.
    unsafe {
        let real = real(file);
        if let Some(method) = (*(*real).pMethods).xShmBarrier {
            method(real);
        }
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: as above.
    unsafe { pass!(file, xShmUnmap, delete) }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2, // with shared memory, without mapped files
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
