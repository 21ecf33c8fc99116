"""The extensions of post3; everything else about the package is in pyproject.toml."""

import sys

from setuptools import Extension, setup

# Measured: -O3 and -march=native make MD5 slower.
FLAGS = [] if sys.platform == "win32" else ["-O2"]

setup(
    ext_modules=[
        Extension(
            "post3._chunker",
            sources=["post3/_chunker.pyx"],
            depends=["post3/_digests.h"],
            extra_compile_args=FLAGS,
        ),
        Extension(
            "post3.server._plain",
            sources=["post3/server/_plain.pyx"],
            extra_compile_args=FLAGS,
        ),
        Extension(
            "post3.storage.filesystem._files",
            sources=["post3/storage/filesystem/_files.pyx"],
            depends=["post3/storage/filesystem/_files.h"],
            extra_compile_args=FLAGS,
        ),
    ]
)
