#!/bin/sh
# Builds foregate for CUDA, checks it on this machine's GPU and measures it beside transformers:
#   bench/gpu/run.sh [PYTHON]
# PYTHON (default .venv/bin/python) holds torch for CUDA, pyarrow and transformers. CMAKE_PREFIX_PATH
# is honoured; CUTLASS_DIR may hold CUTLASS's headers, to be measured beside ours. FOREGATE_MODEL is a trained
# model to compare precisions on. Logs and numbers go to $OUT (default out/gpu).
set -eu
cd "$(dirname "$0")/../.."
python=$(command -v "${1:-.venv/bin/python}")
out=${OUT:-out/gpu}
mkdir -p "$out"

# Hopper's own instructions are compiled for "90a" only.
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
[ "$capability" != 90 ] || capability=90a
cmake --preset cuda -DFOREGATE_PYTHON="$python" \
  -DFOREGATE_CUTLASS_DIR="${CUTLASS_DIR:-}" \
  -DCMAKE_CUDA_ARCHITECTURES="${FOREGATE_ARCHITECTURES:-$capability-real}" > "$out/configure.log"
cmake --build build/cuda -j "$(nproc)" -t foregate foregate_bench_gpu_ops foregate_bench_grouped_gemm \
  foregate_bench_expert_cache foregate_kernels_cache_tests \
  foregate_dump_routing foregate_nn_cuda_tests foregate_engine_tests foregate_collect_tests \
  foregate_predict_tests > "$out/build.log"

for tests in kernels/cache nn/cuda engine collect predict; do
  "build/cuda/tests/$tests/foregate_$(echo $tests | tr / _)_tests" --gtest_brief=1
done

for tokens in ${FOREGATE_BATCHES:-16384 32768 65536}; do
  build/cuda/bench/foregate_bench_gpu_ops "$tokens"
done | tee "$out/steps.txt"
"$python" bench/gpu/agreement.py --dump build/cuda/tests/engine/foregate_dump_routing \
  --model "${FOREGATE_MODEL:-examples/demo/model}" | tee "$out/agreement.txt"
"$python" bench/gpu/load.py --foregate build/cuda/apps/foregate/foregate \
  --tokenizer examples/demo/model/tokenizer.json | tee "$out/load.txt"
build/cuda/bench/foregate_bench_grouped_gemm | tee "$out/grouped_gemm.txt"
build/cuda/bench/foregate_bench_expert_cache | tee "$out/expert_cache.txt"
"$python" bench/gpu/compare.py --foregate build/cuda/apps/foregate/foregate --json "$out/compare.json"
