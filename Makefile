# SPDX-FileCopyrightText: 2026 The Holdfast authors
# SPDX-License-Identifier: Apache-2.0
.PHONY: help demo test bench soak mutants format lint build clean

help:
	@echo "make demo     set up, build, and keep a file through the loss of two of five nodes (FILE= takes yours)"
	@echo "make test     set up, build, and run every test"
	@echo "make bench    rates next to a peer or a physical limit"
	@echo "make soak     the long runs: faults, simulation, planted bugs"
	@echo "make mutants  plants each bug of tests/mutants and hunts it with the simulator"
	@echo "make build    the release build, in build/release"
	@echo "make format   clang-format over the code;  make lint  the checks of the code's shape"

build:
	@scripts/install-deps
	@cmake --preset release -DHOLDFAST_LTO=ON >/dev/null && cmake --build build/release --target holdfastd holdfast

demo: build
	@scripts/demo

test:
	@scripts/install-deps
	@scripts/test

bench:
	@scripts/install-deps bench
	@cmake --preset release -DHOLDFAST_LTO=ON >/dev/null && cmake --build build/release --target holdfastd holdfast bench_kv_load bench_coding bench_failover
	@bench/run

soak:
	@scripts/install-deps
	@scripts/soak

mutants:
	@scripts/install-deps
	@tests/mutants/hunt

format:
	@git ls-files '*.c' '*.h' '*.cu' | xargs clang-format -i

lint:
	@tests/lint/run build/dev
	@tests/lint/docs

clean:
	@rm -rf build
