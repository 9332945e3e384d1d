#!/usr/bin/env python3
"""Static libraries that stand for CUDA's shared ones when a program is linked.

`cuda_shims.py CUDARC_SOURCE FOLDER [CC]` writes libcuda.a, libcublas.a, libcublasLt.a, libcurand.a and libnvrtc.a. Each function in
them looks for the real one when it is first called, and returns an error, or a text that says so, where there is none. A program linked with them builds
without a CUDA toolkit and starts without a driver, so that it can say what is missing. x86-64 Linux only.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

# Library: cudarc's module, how its functions begin, names at run time, the error of a missing function.
LIBRARIES = {
    "cuda": ("driver", "cu", ["libcuda.so.1"], 3),  # CUDA_ERROR_NOT_INITIALIZED
    "cublas": ("cublas", "cublas", ["libcublas.so.13", "libcublas.so.12"], 1),  # NOT_INITIALIZED
    "cublasLt": ("cublaslt", "cublasLt", ["libcublasLt.so.13", "libcublasLt.so.12"], 1),
    "curand": ("curand", "curand", ["libcurand.so.10"], 101),  # NOT_INITIALIZED
    "nvrtc": ("nvrtc", "nvrtc", ["libnvrtc.so.13", "libnvrtc.so.12"], 11),  # INTERNAL_ERROR
}

SOURCE = r"""
#include <dlfcn.h>
#include <stddef.h>
static const char *const names[] = {%(names)s};
static const char is_text[] = {%(is_text)s};
static const char *const libraries[] = {%(libraries)s};
static long missing(void) { return %(error)d; }
static const char *missing_text(void) { return "%(first)s was not found"; }

/* What function `index` is; two threads that ask together find the same. */
__attribute__((used)) static void *find(unsigned index) {
    static void *library;
    void *handle = __atomic_load_n(&library, __ATOMIC_ACQUIRE), *function = NULL;
    for (unsigned i = 0; !handle && i < sizeof libraries / sizeof *libraries; i++)
        handle = dlopen(libraries[i], RTLD_NOW | RTLD_GLOBAL);
    __atomic_store_n(&library, handle, __ATOMIC_RELEASE);
    if (handle) function = dlsym(handle, names[index]);
    if (!function) function = is_text[index] ? (void *)missing_text : (void *)missing;
    extern void *%(table)s[];
    __atomic_store_n(&%(table)s[index], function, __ATOMIC_RELEASE);
    return function;
}

/* A call through an empty place of the table: find the function, with the call's arguments kept, and go on there. */
__asm__(".text\n"
        "first_call:\n"
        "push %%rdi\n push %%rsi\n push %%rdx\n push %%rcx\n push %%r8\n push %%r9\n"
        "sub $136, %%rsp\n"
        "movups %%xmm0, (%%rsp)\n movups %%xmm1, 16(%%rsp)\n movups %%xmm2, 32(%%rsp)\n movups %%xmm3, 48(%%rsp)\n"
        "movups %%xmm4, 64(%%rsp)\n movups %%xmm5, 80(%%rsp)\n movups %%xmm6, 96(%%rsp)\n movups %%xmm7, 112(%%rsp)\n"
        "mov %%r11d, %%edi\n"
        "call find\n"
        "mov %%rax, %%r11\n"
        "movups (%%rsp), %%xmm0\n movups 16(%%rsp), %%xmm1\n movups 32(%%rsp), %%xmm2\n movups 48(%%rsp), %%xmm3\n"
        "movups 64(%%rsp), %%xmm4\n movups 80(%%rsp), %%xmm5\n movups 96(%%rsp), %%xmm6\n movups 112(%%rsp), %%xmm7\n"
        "add $136, %%rsp\n"
        "pop %%r9\n pop %%r8\n pop %%rcx\n pop %%rdx\n pop %%rsi\n pop %%rdi\n"
        "jmp *%%r11\n"
        ".data\n .balign 8\n .globl %(table)s\n .hidden %(table)s\n"
        "%(table)s:\n .rept %(count)d\n .quad first_call\n .endr\n"
        ".text\n"
        %(functions)s);
"""


def source(library: str, cudarc: pathlib.Path) -> str:
    module, prefix, libraries, error = LIBRARIES[library]
    text = "".join(path.read_text() for path in sorted((cudarc / module / "sys").glob("*.rs")))
    names = sorted(set(re.findall(rf"pub (?:unsafe )?fn ({prefix}[A-Za-z0-9_]+)\s*\(", text)))
    texts = set(re.findall(rf"pub (?:unsafe )?fn ({prefix}[A-Za-z0-9_]+)\s*\([^)]*\)\s*->\s*\*const ::core::ffi::c_char", text))
    if not names:
        sys.exit(f"{cudarc / module}: no functions found")
    table = f"shim_table_of_{library}"
    functions = "\n        ".join(
        f'".globl {name}\\n .type {name}, @function\\n{name}: movl ${index}, %r11d\\n jmp *{table}+{8 * index}(%rip)\\n"'
        for index, name in enumerate(names)
    )
    quoted = lambda words: ", ".join(f'"{word}"' for word in words)
    values = {"names": quoted(names), "libraries": quoted(libraries), "first": libraries[0], "error": error, "table": table}
    values["is_text"] = ", ".join(str(int(name in texts)) for name in names)
    return SOURCE % (values | {"count": len(names), "functions": functions})


def main() -> None:
    cudarc, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    compiler = sys.argv[3] if len(sys.argv) > 3 else "cc"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        for library in LIBRARIES:
            c, o = pathlib.Path(work, f"{library}.c"), pathlib.Path(work, f"{library}.o")
            c.write_text(source(library, cudarc))
            subprocess.run([compiler, "-O2", "-fPIC", "-w", "-c", c, "-o", o], check=True)
            archive = folder / f"lib{library}.a"
            archive.unlink(missing_ok=True)
            subprocess.run(["ar", "crs", archive, o], check=True)


main()
