// Times routing by the engine alone, without tokenising and writing:
//   foregate_bench_engine MODEL_DIR IDS.safetensors [TOKENS_PER_BATCH [ROUNDS [DEVICE [DTYPE]]]]
// IDS holds token_ids [T] and cu_seqlens [texts + 1], int32. Prints one JSON line: the best of the
// rounds, each over all texts. bench/collect_cpu.py runs it beside transformers.

#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "tensor/device/device.h"
#include "tensor/dtype.h"
#include "tensor/files/safetensors.h"

namespace foregate {
namespace {

struct Options {
  std::string model;
  std::string ids;
  int tokens_per_batch = 2048;
  int rounds = 3;
  engine::EngineOptions engine = {};
};

// Takes every decision to the host, as collecting does.
class HostObserver : public engine::EngineObserver {
 public:
  void on_router(const engine::RouterEvent& event) override {
    decisions_ += event.experts.to(torch::kUInt16).cpu().numel();
  }
  int64_t decisions() const { return decisions_; }

 private:
  int64_t decisions_ = 0;
};

// Texts in the order given, each batch filled up to the token budget.
std::vector<engine::StepBatch> pack(const tensor::SafetensorsFile& file, int tokens_per_batch) {
  const torch::Tensor ids = file.tensor("token_ids").contiguous();
  const torch::Tensor ends = file.tensor("cu_seqlens").contiguous();
  const auto* token = ids.const_data_ptr<int32_t>();
  const auto* end = ends.const_data_ptr<int32_t>();
  std::vector<engine::StepBatch> batches(1);
  for (int64_t i = 0; i + 1 < ends.numel(); ++i) {
    const int32_t count = end[i + 1] - end[i];
    if (batches.back().num_texts() > 0 && batches.back().num_tokens() + count > tokens_per_batch) {
      batches.emplace_back();
    }
    batches.back().add(std::span(token + end[i], static_cast<size_t>(count)));
  }
  return batches;
}

double seconds_of_round(engine::Engine& engine, const std::vector<engine::StepBatch>& batches) {
  HostObserver observer;
  const auto start = std::chrono::steady_clock::now();
  for (const engine::StepBatch& batch : batches) engine.step(batch, observer);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void bench(const Options& options) {
  const tensor::SafetensorsFile file(options.ids);
  const std::vector<engine::StepBatch> batches = pack(file, options.tokens_per_batch);
  engine::Engine engine(options.model, options.engine);
  HostObserver warm_up;
  engine.step(batches.front(), warm_up);
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round < options.rounds; ++round) {
    best = std::min(best, seconds_of_round(engine, batches));
  }
  const int64_t tokens = file.tensor("token_ids").numel();
  fmt::print(
      "{{\"tokens\": {}, \"batches\": {}, \"seconds\": {:.4f}, \"tokens_per_second\": {:.1f}}}\n",
      tokens, batches.size(), best, static_cast<double>(tokens) / best);
}

}  // namespace
}  // namespace foregate

int main(int argc, char** argv) {
  if (argc < 3 || argc > 7) {
    fmt::print(stderr,
               "usage: foregate_bench_engine MODEL_DIR IDS.safetensors [TOKENS_PER_BATCH [ROUNDS "
               "[DEVICE [DTYPE]]]]\n");
    return 2;
  }
  foregate::Options options{.model = argv[1], .ids = argv[2]};
  try {
    if (argc > 3) options.tokens_per_batch = std::stoi(argv[3]);
    if (argc > 4) options.rounds = std::stoi(argv[4]);
    if (argc > 5) options.engine.compute.device = foregate::tensor::parse_device(argv[5]);
    if (argc > 6) options.engine.compute.dtype = foregate::tensor::parse_dtype(argv[6]);
    foregate::bench(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  return 0;
}
