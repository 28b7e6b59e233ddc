//! A witness in the C library: every copy of a marked body, by the thread that makes it.
//!
//! All copies of a size that is known only when the program runs are calls of `memcpy` or `memmove`. What the kernel copies
//! is not seen, nor what a cipher turns into something else: a body that is sealed was copied to where that happens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::c_source;

/// What a body is made of: [`MARK_SIZE`] of these in a row are a mark.
pub const MARK: u8 = 7;
/// The shortest body that is counted.
pub const MARK_SIZE: usize = 512;

/// Each copy of at least a mark leaves the name of its thread in the file that the variable names. It copies by itself, byte
/// by byte, since nothing else in the process would.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>
static int witness = -1;
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("E2E_COPIES_WITNESS");
    if (path) witness = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}
static void look(const unsigned char *from, size_t size) {
    if (witness < 0 || size < MARK_SIZE) return;
    for (size_t at = 0, run = 0; at < size; at++) {
        run = from[at] == MARK ? run + 1 : 0;
        if (run < MARK_SIZE) continue;
        char name[18] = { 0 };
        prctl(PR_GET_NAME, name);
        size_t length = 0;
        while (name[length]) length++;
        name[length] = '\n';
        (void)!write(witness, name, length + 1);
        return;
    }
}
void *memmove(void *to, const void *from, size_t size) {
    unsigned char *target = to;
    const unsigned char *source = from;
    look(source, size);
    if (target <= source || target >= source + size) {
        for (size_t at = 0; at < size; at++) target[at] = source[at];
    } else {
        while (size-- > 0) target[size] = source[size];
    }
    return to;
}
void *memcpy(void *to, const void *from, size_t size) { return memmove(to, from, size); }
"#;

/// The shared object, and where it counts.
#[derive(Debug)]
pub struct CopyCounter {
    object: PathBuf,
    witness: PathBuf,
}

impl CopyCounter {
    /// Compiles it in this folder.
    pub fn compile(folder: &Path) -> Result<CopyCounter> {
        let (mark, size) = (format!("-DMARK={MARK}"), format!("-DMARK_SIZE={MARK_SIZE}"));
        // Without builtins, or the loops that copy become calls of what they are.
        let flags = ["-shared", "-fPIC", "-fno-builtin", &mark, &size];
        let object = c_source::compile(folder, "copy_counter.so", SOURCE, &flags)?;
        Ok(CopyCounter { object, witness: folder.join("copies.witness") })
    }

    /// What a process needs in its environment.
    pub fn variables(&self) -> [(&'static str, String); 2] {
        let text = |path: &Path| path.display().to_string();
        [("LD_PRELOAD", text(&self.object)), ("E2E_COPIES_WITNESS", text(&self.witness))]
    }

    /// Copies so far, by thread.
    pub fn copies(&self) -> Result<BTreeMap<String, u64>> {
        let names = fs::read_to_string(&self.witness).context("the server has not loaded the counter")?;
        let mut copies = BTreeMap::new();
        for name in names.lines() {
            *copies.entry(name.to_owned()).or_default() += 1;
        }
        Ok(copies)
    }
}
