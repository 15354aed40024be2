#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "collect/collector.h"
#include "tensor/device/device_memory.h"

namespace foregate::collect {

/// What `foregate bench collect` does.
struct BenchmarkOptions {
  std::string geometry = "qwen1.5-moe-a2.7b";  ///< see benchmark_model_names
  tensor::Compute compute = {};                ///< quantisation: as collecting chooses unless given
  int64_t traces = 4096;
  int64_t shortest = 64;  ///< tokens of the shortest text
  int64_t longest = 512;
  int64_t batch_tokens = 0;    ///< 0: as collecting chooses
  int64_t max_memory = 0;      ///< bytes of the device's memory to take; 0: what is free
  std::filesystem::path work;  ///< made, and removed afterwards
};

struct BenchmarkResult {
  CollectSummary summary;
  double gemm_rate = 0;        ///< operations a second of a large matrix product on this device
  double flops_per_token = 0;  ///< of the matrix products that routing takes
  tensor::DeviceMemory memory;

  int64_t tokens() const { return summary.manifest.num_tokens(); }
  /// Of the whole pipeline, texts in, Parquet out, once the model is loaded.
  double tokens_per_second() const;
  double traces_per_minute() const;
  /// Share of the measured matrix rate that the tokens' products amount to.
  double gemm_share() const;
};

/// Collects traces of synthetic texts from a model of random weights: the same code as collect(),
/// from reading to the written shards.
BenchmarkResult benchmark_collect(const BenchmarkOptions& options,
                                  const RunContext& run = silent_run());

}  // namespace foregate::collect
