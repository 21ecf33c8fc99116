"""The one extension of post3; everything else about the package is in pyproject.toml."""

import sys

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "post3._chunker",
            sources=["post3/_chunker.pyx"],
            depends=["post3/_digests.h"],
            # Measured: -O3 and -march=native make MD5 slower.
            extra_compile_args=[] if sys.platform == "win32" else ["-O2"],
        )
    ]
)
