#include "collect/benchmark.h"

#include "base/error.h"
#include "base/files.h"
#include "base/scratch_directory.h"
#include "engine/roofline.h"
#include "models/benchmark_models.h"
#include "models/registry.h"
#include "text/datasets/synthetic.h"

namespace foregate::collect {
namespace {

constexpr uint64_t kSeed = 1;

void check_benchmark_options(const BenchmarkOptions& options) {
  if (options.shortest < 4 || options.longest < options.shortest) {
    throw UsageError("text lengths must be at least 4 tokens, the shortest first");
  }
}

}  // namespace

double BenchmarkResult::tokens_per_second() const {
  return static_cast<double>(tokens()) / summary.stages.total;
}

double BenchmarkResult::traces_per_minute() const {
  return static_cast<double>(summary.manifest.num_traces()) / summary.stages.total * 60;
}

double BenchmarkResult::gemm_share() const {
  return tokens_per_second() * flops_per_token / gemm_rate;
}

BenchmarkResult benchmark_collect(const BenchmarkOptions& options, const RunContext& run) {
  check_benchmark_options(options);
  const std::string config_text = models::benchmark_config(options.geometry);
  const ScratchDirectory scratch(options.work);
  const fs::path model = options.work / "model";
  const fs::path texts = options.work / "texts.txt";
  fs::create_directories(model);
  write_file_atomically(model / "config.json", config_text);
  const models::ModelConfig config = models::read_model_config(model / "config.json");
  const text::SyntheticTexts source(config.vocab_size);
  source.write_tokenizer(model / "tokenizer.json");
  source.write_texts(texts, options.traces, options.shortest, options.longest, kSeed);

  BenchmarkResult result;
  result.gemm_rate = engine::measured_gemm_rate(options.compute.device, options.compute.dtype);
  CollectOptions collecting;
  collecting.model = model;
  collecting.data = {text::DatasetSpec::parse("synthetic=" + texts.string())};
  collecting.output = options.work / "traces";
  collecting.traces = options.traces;
  collecting.max_length = options.longest;
  collecting.compute = options.compute;
  collecting.batch_tokens = options.batch_tokens;
  collecting.max_memory = options.max_memory;
  collecting.random_weights = true;
  result.summary = collect(collecting, run);
  const double length = static_cast<double>(result.tokens()) /
                        static_cast<double>(result.summary.manifest.num_traces());
  result.flops_per_token = engine::routing_flops_per_token(config, length);
  result.memory = tensor::device_memory(options.compute.device);
  return result;
}

}  // namespace foregate::collect
